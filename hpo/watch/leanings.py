"""Which way the claims of a study lean while it runs: the report's own comparison, of the trials that have ended.

It is provisional whatever it says. A test that is looked at again and again finds a difference too often, which is why
nothing here is called decided before the study is done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hpo.errors import HpoError
from hpo.evidence.contrasts import compared_arms
from hpo.report.numbers import change
from hpo.report.verdict.compare import compare
from hpo.report.verdict.results import ClaimResult, Verdict
from hpo.storage import Storage
from hpo.storage.rows import ArmProgress, StudyRow
from hpo.storage.states import CONFIRM, SEARCH, Phase
from hpo.study import StudySpec, read_study
from hpo.words.nouns import count

LEANS: Mapping[Verdict, str] = {
    "supported": "leans to yes",
    "contradicted": "leans to no",
    "no difference": "leans to no difference that matters",
    "undecided": "too early to tell",
    "incomplete": "can't be judged, for trials have failed",
}
"""What the verdict on the trials so far is called as long as others are to come."""
REST = 20.0
"""Times as long as a comparison took that the next one waits at least: it takes a twentieth of the time at most."""


@dataclass(frozen=True, slots=True)
class Leaning:
    """A claim as far as can be seen."""

    text: str
    leans: str
    """Which way, in words."""
    measured: str
    """The difference so far, in numbers; empty where there is none yet."""


class Leanings:
    """The claims of one study, compared again where further trials have ended that they rest on."""

    def __init__(self, storage: Storage, clock: Callable[[], float] = time.monotonic) -> None:
        self._storage = storage
        self._clock = clock
        self._ended: Mapping[Phase, int] = {SEARCH: 0, CONFIRM: 0}
        self._due = 0.0
        self._found: tuple[Leaning, ...] = ()

    def look(self, row: StudyRow, progress: Sequence[ArmProgress]) -> tuple[Leaning, ...]:
        """What is known by now; nothing before the first trial of those that are compared."""
        ended = {phase: sum(arm.done for arm in progress if arm.phase == phase) for phase in (SEARCH, CONFIRM)}
        if ended != self._ended and self._clock() >= self._due:
            try:
                self._compare_again(row, ended)
            except HpoError:  # rows that another program has changed, which `hpo report` explains
                self._found = ()
            self._ended = ended
        return self._found

    def _compare_again(self, row: StudyRow, ended: Mapping[Phase, int]) -> None:
        """Compare the arms, if there is news of those trials that a verdict rests on."""
        began, ledger = self._clock(), self._storage.ledger
        study = read_study(row.name, row.spec, row.hpo_version)
        rests_on = SEARCH if study.protocol.confirm is None else CONFIRM
        if ended[rests_on] == self._ended[rests_on]:
            return
        curves = ledger.curves(row.id) if _asks_for_curves(study) else []
        report = compare(study, ledger.cells(row.id), curves)
        self._found = tuple(_leaning(claim, report.compared_by) for claim in report.claims)
        ended_at = self._clock()
        self._due = ended_at + REST * (ended_at - began)


def _asks_for_curves(study: StudySpec) -> bool:
    """Whether a claim is about an earlier moment than the end of a trial, or about training."""
    compared = [claim.comparison for claim in study.claims]
    return any(at for each in compared for _, at in compared_arms(study, each)) or any(
        study.metric_of(each).split == "train" for each in compared
    )


def _leaning(claim: ClaimResult, unit: str) -> Leaning:
    if claim.difference is None:
        return Leaning(claim.text, LEANS["undecided"], "")
    points = " points" if claim.metric.share else ""
    of = f"{points} of {claim.metric.words}, {count(claim.difference.n, unit)}"
    return Leaning(claim.text, LEANS[claim.verdict], f"{claim.compared}: {change(claim.difference, claim.metric)}{of}")
