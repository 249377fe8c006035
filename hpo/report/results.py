"""What a report holds: the values that `hpo.report.compare` makes and the other modules show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hpo.report.statistics import Paired, Summary
from hpo.study import Metric

Verdict = Literal["supported", "contradicted", "undecided"]


@dataclass(frozen=True, slots=True)
class PhaseResult:
    """What an arm ran in one phase, counted in cells."""

    epochs: int
    """Trained by all of them together."""
    finished: int
    pruned: int
    diverged: int
    failed: int
    open: int
    """Not done yet, planned or still to be planned."""

    @property
    def cells(self) -> int:
        """All of them."""
        return self.finished + self.pruned + self.diverged + self.failed + self.open


@dataclass(frozen=True, slots=True)
class ArmResult:
    """One arm of a report."""

    name: str
    search: PhaseResult
    confirm: PhaseResult
    tried: int
    """Configurations of which a search trial ended, however it ended."""
    configuration: Mapping[str, Any] | None
    """What was searched -> the value that represents the arm; None if no configuration finished."""
    search_best: float | None
    """Validation accuracy: optimistic, because it is the highest of all that were tried."""
    values: Mapping[Metric, Mapping[int, float]]
    """Seed -> value of the configuration that represents the arm."""
    validation: Summary | None
    """Of its accuracy over the confirm phase's seeds; without that phase, over the repeats it was chosen by."""
    test: Summary | None
    """Of its accuracy; None without a confirm phase."""
    test_loss: Summary | None
    difference: Paired | None
    """To the baseline, by the report's metric; None for the baseline itself, and without a common seed."""


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """What the paired seeds say about a claim of the study."""

    text: str
    verdict: Verdict
    reason: str
    difference: Paired | None
    """`arm` - `than`; None without a common seed."""
    metric: Metric
    provisional: bool
    """One of the two arms is not complete."""


@dataclass(frozen=True, slots=True)
class Report:
    """A study's verdict."""

    name: str
    title: str
    baseline: str
    metric: Metric
    """That of the differences to the baseline."""
    rules: tuple[str, ...]
    """How the arms are compared, in words."""
    arms: tuple[ArmResult, ...]
    claims: tuple[ClaimResult, ...]
    search_ratio: float | None
    """The largest search spending of an arm by the smallest, in epochs; None if an arm spent nothing."""
    compute: str
    """The same in words."""
    unfinished: tuple[str, ...]
    """What is still to come; empty when the study is complete."""
    failures: tuple[str, ...]
    """What was tried and will not come."""
