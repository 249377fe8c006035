"""The tables of a RESULTS.md, written from the raw data beside it.

    python studies/tables.py            # write them
    python studies/tables.py --check    # only say which are not what the data says; 1 if there is one

A table stands between `<!-- KIND: FILE [PROFILE] [ARM …] -->` and `<!-- end -->`; FILE is a study beside the page, and
what `hpo export` has written of it lies in `raw`, compressed. Its trials are judged again by the study as the file has
it now, so a verdict here is the report's. Kinds: `arms` (a line for each of them, or for those named), `settings` (a
line for each setting, of an arm against its baseline), `claims`. `<!-- studies -->` is the table of all studies.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from judged import STUDIES, Judged, judge, profiles, trials

from hpo.report.numbers import NONE, change, mean, number, p_value, readable
from hpo.report.verdict.results import Report
from hpo.search.space import Range, Values
from hpo.study import StudySpec
from hpo.study.checks.budgets import units_at_most
from hpo.study.file import load

TABLE = re.compile(r"(<!-- (arms|settings|claims): (\S+)((?: \S+)*) -->\n).*?(<!-- end -->)", re.DOTALL)
OVERVIEW = re.compile(r"(<!-- studies -->\n).*?(<!-- end -->)", re.DOTALL)
DOCUMENT = re.compile(r"\((\d{3})_\w+\)$")


def arms(judged: Judged, named: Sequence[str]) -> Iterator[str]:
    """What each arm chose and measured; differences are to its baseline, paired by seed."""
    report, study = judged.report, judged.study
    shown = [arm for arm in report.arms if not named or arm.name in named]
    chooses = any(arm.configuration for arm in shown)
    also = [metric for metric, _ in shown[0].also]
    train = judged.train(report.objective.on("train").name)
    yield _row(
        "arm",
        *(["chosen"] if chooses else []),
        "train",
        "validation",
        "test",
        *(f"{metric.words}" for metric in also),
        "difference",
    )
    yield _row("---", *(["---"] if chooses else []), *["---:"] * (4 + len(also)))
    for arm in shown:
        search = study.arms[arm.name].search
        values = ", ".join(
            f"{path.rpartition('.')[2]} {_short(value, search[path])}"
            for path, value in (arm.configuration or {}).items()
        )
        yield _row(
            arm.name,
            *([values or NONE] if chooses else []),
            number(train.get(arm.name), report.objective),
            mean(arm.validation, report.objective),
            mean(arm.test, report.objective.on("test")),
            *(mean(found, metric) for metric, found in arm.also),
            NONE if arm.name == study.baseline_of(arm.name) else change(arm.difference, report.metric),
        )


def settings(judged: Judged, named: Sequence[str]) -> Iterator[str]:
    """An arm and its baseline in every setting: both means, and their difference, paired by seed."""
    [way] = named
    study, metric = judged.study, judged.report.metric
    found = {arm.name: arm for arm in judged.report.arms}
    own = {spec.setting: name for name, spec in study.arms.items() if spec.way == way}
    baseline = study.arms[study.baseline_of(next(iter(own.values())))].way
    yield _row("setting", str(baseline), way, f"{way} - {baseline}")
    yield _row("---", *["---:"] * 3)
    for setting, name in own.items():
        means = (fmean(found[each].values[metric.name].values()) for each in (study.baseline_of(name), name))
        yield _row(str(setting), *(number(each, metric) for each in means), change(found[name].difference, metric))


def claims(judged: Judged, named: Sequence[str]) -> Iterator[str]:
    """Every claim with what was measured, its p value by Holm's method, and its verdict."""
    yield _row("claim", "measured", "p, corrected", "verdict")
    yield _row("---", "---:", "---:", "---")
    for claim in judged.report.claims:
        p = NONE if claim.p_corrected is None else p_value(claim.p_corrected)
        verdict = claim.shown if claim.shown in ("undecided", "not known") else f"**{claim.shown}**"
        yield _row(claim.text, change(claim.difference, claim.metric), p, verdict)


KINDS: Mapping[str, Callable[[Judged, Sequence[str]], Iterator[str]]] = {
    "arms": arms,
    "settings": settings,
    "claims": claims,
}


def studies() -> Iterator[str]:
    """Every study: its question, what it trains at most, and of each run what it took and what it found."""
    yield _row("study", "question", "document", "epochs", "`small`: epochs", "core-minutes", "found")
    yield _row(*["---"] * 3, *["---:"] * 3, "---")
    known = {
        file: {profile: load(file, profile=profile) for profile in profiles(file)} for file in STUDIES.glob("**/*.toml")
    }
    documents = {file: _document(by_profile[None]) for file, by_profile in known.items()}
    for file, document in sorted(documents.items(), key=lambda one: (one[1], one[0])):
        by_profile = known[file]
        planned = [by_profile[None], by_profile.get("small", by_profile[None])]
        beginning = (
            f"[{file.stem}]({file.relative_to(STUDIES)})",
            by_profile[None].title,
            f"[{document}]({file.parent.name}/README.md)" if document else NONE,
            *(f"{sum(units_at_most(study).values()):,}" for study in planned),
        )
        run = [profile for profile, study in by_profile.items() if trials(file, study).exists()]
        page = (file.parent / "RESULTS.md").relative_to(STUDIES)
        for profile in run:
            found = judge(file, profile)
            minutes = sum(cell.seconds for cell in found.cells) / 60
            how = f"`{profile}`" if profile else "as written"
            yield _row(*beginning, f"{minutes:.0f}", f"[{how}]({page}): {_counted(found.report)}")
            beginning = ("", "", "", "", "")
        if not run:
            yield _row(*beginning, NONE, "no raw data here")


def _document(study: StudySpec) -> str:
    """The number of the document whose experiment it repeats, if it does."""
    found = DOCUMENT.search(study.source.document) if study.source else None
    return found[1] if found else ""


def _counted(report: Report) -> str:
    """How many claims came out how: `4 claims: 1 supported, 3 undecided`."""
    counts = Counter(claim.shown for claim in report.claims)
    ordered = ("supported", "contradicted", "no difference that matters", "not known", "undecided")
    assert set(counts) <= set(ordered), counts
    return f"{len(report.claims)} claims: {', '.join(f'{counts[word]} {word}' for word in ordered if counts[word])}"


def table(page: Path, kind: str, file: str, rest: str) -> str:
    """The table as Markdown."""
    words = rest.split()
    path = page.parent / file
    profile = words.pop(0) if words and words[0] != "-" else None
    return _text(KINDS[kind](judge(path, profile), [word for word in words if word != "-"]))


def written(page: Path) -> str:
    """The page with its tables as the data says."""
    text = OVERVIEW.sub(lambda found: found[1] + _text(studies()) + found[2], page.read_text(encoding="utf-8"))
    return TABLE.sub(lambda found: found[1] + table(page, found[2], found[3], found[4]) + found[5], text)


def _text(lines: Iterator[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _row(*values: str) -> str:
    return f"| {' | '.join(values)} |"


def _short(value: Any, searched: Range | Values) -> str:
    """A value as people read it; of a table the label that the study file gives it."""
    if isinstance(value, dict) and isinstance(searched, Values):
        return str(next(label for label in searched.labels() if searched.decode(label) == value))
    return readable(value)


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
