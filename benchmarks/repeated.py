"""A whole study again and again, each time with another `protocol.seed`: how often does it come to which verdict?

    python -m benchmarks.repeated [--study studies/quickstart.toml] [--times 25] [--set PATH=VALUE]

A verdict that another repetition would not give is an anecdote. Every repetition searches, confirms and judges anew,
with seeds that no other has; two run at a time, each by one worker.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from threading import Event

from hpo.service import begin_study, verdict
from hpo.storage import create_storage
from hpo.study.file import load
from hpo.worker import Worker, WorkerOptions


def verdicts(file: Path, settings: list[str], seed: int) -> list[tuple[str, str, float]]:
    """The text of each claim, its verdict, and its difference, of one repetition."""
    study = load(file, [*settings, f"protocol.seed={seed}"])
    with tempfile.TemporaryDirectory() as folder:
        storage = create_storage(f"sqlite:///{folder}/study.db")
        begin_study(storage, study)
        Worker(storage, [], WorkerOptions(device="cpu"), Event()).run()
        claims = verdict(storage, study.name).claims
        storage.close()
    return [(claim.text, claim.shown, claim.difference.difference if claim.difference else 0.0) for claim in claims]


def main() -> int:
    """Print how often each claim came to which verdict, and as the last line the same as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", type=Path, default=Path("studies/quickstart.toml"))
    parser.add_argument("--times", type=int, default=25)
    parser.add_argument("--set", dest="settings", action="append", default=[])
    given = parser.parse_args()
    repeat = partial(verdicts, given.study, given.settings)
    with ProcessPoolExecutor(2) as pool:
        each = list(pool.map(repeat, range(1000, 1000 + given.times)))
    found: dict[str, Counter[str]] = {}
    differences: dict[str, list[float]] = {}
    for claims in each:
        for text, shown, difference in claims:
            found.setdefault(text, Counter())[shown] += 1
            differences.setdefault(text, []).append(difference)
    print(f"{given.study}, {given.times} times:")
    for text, counts in found.items():
        own = sorted(differences[text])
        print(f"  {text}: {', '.join(f'{n} {shown}' for shown, n in counts.most_common())}")
        print(f"    differences from {own[0]:+.4f} to {own[-1]:+.4f}, median {own[len(own) // 2]:+.4f}")
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
