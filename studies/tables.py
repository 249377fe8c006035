"""The tables of a RESULTS.md, written from the raw data beside it.

    python studies/tables.py            # write them
    python studies/tables.py --check    # only say which are not what the data says; 1 if there is one

A table stands between `<!-- gain: TRIALS ARM BASELINE METRIC -->` and `<!-- end -->`, where TRIALS is what `hpo export`
has written of a study with settings, compressed. It has a line for each setting: both arms' means over the confirm
seeds, and their difference, paired by seed, with its 95 % interval.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import re
import sys
from collections import defaultdict
from pathlib import Path
from statistics import fmean

from hpo.evidence.statistics import paired

STUDIES = Path(__file__).parent
TABLE = re.compile(r"(<!-- gain: (\S+) (\S+) (\S+) (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)

BySeed = dict[int, float]


def measured(trials: Path, metric: str) -> dict[str, BySeed]:
    """Arm -> confirm seed -> what its last epoch measured, of the trials of an export."""
    found: defaultdict[str, BySeed] = defaultdict(dict)
    with gzip.open(trials, "rt", encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            if row["phase"] == "confirm" and row["state"] == "done" and row[metric]:
                found[row["arm"]][int(row["seed"])] = float(row[metric])
    return dict(found)


def gain(trials: Path, arm: str, baseline: str, metric: str) -> str:
    """The table, in percent and points."""
    values = measured(trials, metric)
    settings = [name.removeprefix(f"{arm}_") for name in values if name.startswith(f"{arm}_")]
    lines = [f"| setting | {baseline} | {arm} | {arm} - {baseline} |", "| --- | ---: | ---: | ---: |"]
    for setting in settings:
        own, base = values[f"{arm}_{setting}"], values[f"{baseline}_{setting}"]
        difference = paired(own, base)
        assert difference is not None and difference.low is not None and difference.high is not None
        ends = f"[{100 * difference.low:+.2f}, {100 * difference.high:+.2f}]"
        means = (100 * fmean(side.values()) for side in (base, own))
        lines.append(
            f"| {setting} | {' | '.join(f'{mean:.2f}' for mean in means)} | {100 * difference.difference:+.2f} {ends} |"
        )
    return "\n".join(lines) + "\n"


def written(page: Path) -> str:
    """The page with its tables as the data says."""
    return TABLE.sub(
        lambda found: found[1] + gain(page.parent / found[2], found[3], found[4], found[5]) + found[6],
        page.read_text(encoding="utf-8"),
    )


def main() -> int:
    """Write or check all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    only_check = parser.parse_args().check
    differing = [page for page in STUDIES.glob("**/*.md") if written(page) != page.read_text(encoding="utf-8")]
    for page in differing:
        print(f"{page.relative_to(STUDIES)}: {'differs from its data' if only_check else 'written'}")
        if not only_check:
            page.write_text(written(page), encoding="utf-8")
    return int(only_check and bool(differing))


if __name__ == "__main__":
    sys.exit(main())
