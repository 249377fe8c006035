"""What a report holds: the values that `hpo.report.verdict.compare` makes and the other modules show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hpo.evidence.statistics import Paired, Summary
from hpo.metric import Metric
from hpo.report.verdict.across import Across
from hpo.report.verdict.efficiency import Efficiency
from hpo.report.verdict.published import PublishedResult
from hpo.report.verdict.selection import BestOf
from hpo.report.verdict.spread import Spread

Verdict = Literal["supported", "contradicted", "no difference", "undecided", "incomplete"]
"""No difference: none that matters, by what the claim says of that. Incomplete: trials of its arms have failed, so what
was measured is not what the study asked for."""
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class PhaseResult:
    """What an arm ran in one phase, counted in cells."""

    epochs: int
    """Trained by all of them together."""
    finished: int
    pruned: int
    diverged: int
    too_large: int
    """Those of the diverged ones for which a device had no memory."""
    failed: int
    open: int
    """Not done yet, planned or still to be planned."""

    @property
    def cells(self) -> int:
        """All of them."""
        return self.finished + self.pruned + self.diverged + self.failed + self.open


@dataclass(frozen=True, slots=True)
class Comparison:
    """An arm against the baseline, by the report's metric, paired by seed."""

    difference: Paired
    bootstrap: Interval | None
    """95 % interval of the difference; None for a single seed."""
    p_corrected: float | None
    """The p value of the paired t test, by Holm's method over all arms of the study but the baseline; None in a study
    that makes claims, whose tests are those of its claims."""
    wilcoxon: float | None
    """Wilcoxon's p value, uncorrected; None where it can't be below 5 %."""
    effect: float | None
    """The difference in standard deviations of the differences, corrected for few seeds; None without a spread."""


@dataclass(frozen=True, slots=True)
class ArmResult:
    """One arm of a report."""

    name: str
    baseline: str
    """The arm that it is compared with; itself, if it is one."""
    search: PhaseResult
    confirm: PhaseResult
    audit: PhaseResult
    """Pruned trials that were run to their end."""
    tried: int
    """Configurations of which a search trial ended, however it ended."""
    configuration: Mapping[str, Any] | None
    """What was searched -> the value that represents the arm; None if no configuration finished."""
    configurations: Mapping[int, Mapping[str, Any]]
    """Search -> what was searched -> the value that it chose."""
    trials: Mapping[int, Mapping[str, Any]]
    """Search -> dotted path -> value: all of the trial that it chose."""
    search_best: float | None
    """The best by the objective, on validation, as the mean over the arm's searches: optimistic, because it is the best
    of all that were tried."""
    expected_best: tuple[BestOf, ...]
    """The best that is to be expected of a part of the trials."""
    efficiency: Efficiency
    values: Mapping[str, Mapping[int, float]]
    """Name of a metric -> seed -> value of the configuration that represents the arm; or, where there are several,
    search -> the mean over the seeds of what it chose."""
    spread: Spread | None
    """Where the spread of the report's metric comes from; None of a single search."""
    validation: Summary | None
    """The objective over the confirm phase's seeds, or over the searches; without that phase, over the repeats it was
    chosen by."""
    test: Summary | None
    """That metric on test; None without a confirm phase."""
    also: tuple[tuple[Metric, Summary | None], ...]
    """The other metrics on test."""
    bootstrap: Interval | None
    """95 % interval of the mean of the report's metric; None for fewer than two seeds."""
    comparison: Comparison | None
    """How it compares with the baseline; None for the baseline itself, and without a common seed."""

    @property
    def is_baseline(self) -> bool:
        """Whether others are compared with it."""
        return self.name == self.baseline

    def reached(self, metric: Metric) -> Summary | None:
        """What it reached by the objective, on the split of `metric`."""
        return self.test if metric.split == "test" else self.validation

    @property
    def difference(self) -> Paired | None:
        """The difference to the baseline, by the report's metric; None for the baseline itself, and without a common
        seed."""
        return self.comparison.difference if self.comparison else None


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """What the paired seeds say about a claim of the study."""

    text: str
    verdict: Verdict
    reason: str
    difference: Paired | None
    """`arm` - `than`, its p against the claim's margin; None without a common seed."""
    p_corrected: float | None
    """The p value by Holm's method over the study's claims: the verdict rests on it."""
    needed: int | None
    """Units of a study of its own that would decide it with a chance of 80 %, if difference and spread are as measured;
    None if it is decided, or if nothing can be said."""
    metric: Metric
    provisional: bool
    """One of the arms is not complete: trials of it are still to come, or have failed."""
    arms: tuple[str, ...]
    """The arms that are compared, each once; the first is the one that is claimed to differ."""
    compared: str
    """What is compared, in short: `ramp - grid`."""
    is_plain: bool
    """It compares the ends of two arms, and nothing else: no trend, no earlier moment, no second difference."""
    along: str | None
    """What it is the slope along, if it is about a trend."""
    by_unit: Mapping[int, float]
    """Seed or search -> its difference, or its slope."""
    matters: Interval | None
    """The ends between which a difference would not matter; None where the claim does not say."""

    @property
    def shown(self) -> str:
        """The verdict in words; that an incomplete one may change goes without saying."""
        words: str = self.verdict
        if self.matters:
            words = {"no difference": "no difference that matters", "undecided": "not known"}.get(words, words)
        return f"{words} so far" if self.provisional and self.verdict != "incomplete" else words


@dataclass(frozen=True, slots=True)
class Report:
    """A study's verdict."""

    name: str
    title: str
    baseline: str
    """What the others are compared with, in words: the name of an arm, or whose arm in the same setting."""
    unit: str
    """What the length of a trial is counted in: `epoch`."""
    compared_by: str
    """What a test counts: `seed`, or `search` where every arm has several."""
    objective: Metric
    """What configurations were chosen by, on validation."""
    metric: Metric
    """That of the differences to the baseline."""
    rules: tuple[str, ...]
    """How the arms are compared, in words."""
    arms: tuple[ArmResult, ...]
    claims: tuple[ClaimResult, ...]
    published: tuple[PublishedResult, ...]
    fewest: int
    """Configurations tried by the arm that tried fewest, but some: at this n all expected bests can be compared."""
    search_ratio: float | None
    """The largest search spending of an arm by the smallest, in epochs; None if an arm spent nothing."""
    compute: str
    """The compute in words."""
    devices: str
    """A warning if trials that are compared ran on different kinds of device, else empty."""
    unfinished: tuple[str, ...]
    """What is still to come; empty when the study is complete."""
    incomplete: tuple[str, ...]
    """Which trials have failed, why, and what to do about it; empty if none has."""
    failures: tuple[str, ...]
    """What else was tried and is not part of the result."""
    across: tuple[Across, ...]
    """Each arm over all settings of the study; empty of a study without."""
    doubts: tuple[str, ...]
    """What weakens the answer, as a referee would say it."""

    @property
    def caveats(self) -> tuple[str, ...]:
        """All that weakens the answer: what went wrong, what a referee would say, and a mixture of devices."""
        return (*self.failures, *self.doubts, *((self.devices,) if self.devices else ()))
