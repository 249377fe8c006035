"""The trial that won: what it is, as a study file writes it, and what it reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpo.errors import StudyError
from hpo.evidence.measured import after_the_end, measured, representative, summary
from hpo.evidence.statistics import Summary
from hpo.metric import Metric
from hpo.report.numbers import mean
from hpo.report.toml import trial_table
from hpo.report.verdict.results import ArmResult, Report
from hpo.storage.rows import Cell
from hpo.study import StudySpec
from hpo.words.nouns import count
from hpo.words.suggest import did_you_mean
from hpo.words.visible import on_one_line


@dataclass(frozen=True, slots=True)
class Winner:
    """A configuration and what it reached."""

    study: str
    arm: str
    trial: Mapping[str, Any]
    """The trial as a study file writes it."""
    cells: Sequence[Cell]
    """The trials that trained it."""
    reached: tuple[tuple[Metric, Summary], ...]
    """What it measured, by metric, over the seeds that it was trained with."""

    def __str__(self) -> str:
        lines = [f"# the best trial of {self.study}, arm {self.arm}"]
        for metric, found in self.reached:
            unit = " %" if metric.share else ""
            lines.append(f"# {metric.words}: {mean(found, metric)}{unit} ({count(found.n, 'seed')})")
        return "\n".join([*map(on_one_line, lines), trial_table(self.trial)])


def winner(study: StudySpec, cells: Sequence[Cell], report: Report, arm: str | None = None) -> Winner:
    """The configuration that represents `arm`, or the arm that is best on validation; test chooses nothing.

    Raises:
        StudyError: there is no such arm, or no configuration of it has finished.
    """
    result = _arm(report, arm)
    chosen = representative(study, [cell for cell in cells if cell.arm == result.name])
    if not chosen:
        raise StudyError(f"{study.name}: no configuration of {result.name} has finished yet")
    own = measured(study.metrics.values(), {cell.seed: [cell] for cell in chosen}, after_the_end())
    shown = (report.objective, report.objective.on("test"), *(metric for metric, _ in result.also))
    summaries = [(metric, summary(own[metric.name], metric)) for metric in shown]
    return Winner(
        study=study.name,
        arm=result.name,
        trial=study.table_of(result.name, chosen[0].params or {}, chosen[0].search, chosen[0].confirm_seed),
        cells=chosen,
        reached=tuple((metric, found) for metric, found in summaries if found is not None),
    )


def _arm(report: Report, name: str | None) -> ArmResult:
    arms = {arm.name: arm for arm in report.arms}
    if name is None:
        metric = report.objective
        return min(report.arms, key=lambda arm: metric.place(arm.validation.mean if arm.validation else None))
    if name not in arms:
        raise StudyError(f"{report.name} has no arm {name!r}; the arms are {', '.join(arms)}{did_you_mean(name, arms)}")
    return arms[name]


def winner_json(found: Winner) -> dict[str, Any]:
    """The winner for programs."""
    reached = {metric.name: {"n": own.n, "mean": own.mean, "std": own.std} for metric, own in found.reached}
    return {"study": found.study, "arm": found.arm, "trial": found.trial, "reached": reached}
