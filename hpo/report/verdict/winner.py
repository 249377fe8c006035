"""The trial that won: what it is, as a study file writes it, and what it reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpo.errors import StudyError
from hpo.evidence.measured import representative
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
    """What its arm measured, by metric, over the seeds that it was trained with, or over the searches."""
    compared_by: str
    """What the means are over: `seed`, or `search`."""

    def __str__(self) -> str:
        lines = [f"# the best trial of {self.study}, arm {self.arm}"]
        for metric, summary in self.reached:
            unit = " %" if metric.share else ""
            lines.append(f"# {metric.words}: {mean(summary, metric)}{unit} ({count(summary.n, self.compared_by)})")
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
    summaries = ((report.objective, result.validation), (report.objective.on("test"), result.test), *result.also)
    return Winner(
        study=study.name,
        arm=result.name,
        trial=study.table_of(result.name, chosen[0].params or {}, chosen[0].search),
        cells=chosen,
        compared_by=report.compared_by,
        reached=tuple((metric, summary) for metric, summary in summaries if summary is not None),
    )


def _arm(report: Report, name: str | None) -> ArmResult:
    arms = {arm.name: arm for arm in report.arms}
    if name is None:
        metric = report.objective
        return min(report.arms, key=lambda arm: metric.place(arm.validation.mean if arm.validation else None))
    if name not in arms:
        raise StudyError(f"{report.name} has no arm {name!r}; its arms are {', '.join(arms)}{did_you_mean(name, arms)}")
    return arms[name]


def winner_json(found: Winner) -> dict[str, Any]:
    """The winner for programs."""
    reached = {
        metric.name: {"n": summary.n, "mean": summary.mean, "std": summary.std} for metric, summary in found.reached
    }
    return {"study": found.study, "arm": found.arm, "trial": found.trial, "reached": reached}
