"""A study in a notebook: `hpo.load(storage, study)` gives its arms, trials and curves as pandas data frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpo import DISTRIBUTION
from hpo.errors import UserError
from hpo.evidence.statistics import Paired, Summary
from hpo.report.render import export
from hpo.report.verdict.results import ArmResult, Report
from hpo.service import find_study, verdict
from hpo.storage import open_storage

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, slots=True)
class LoadedStudy:
    """A study as far as it has been run when it was loaded. The columns are those of `hpo export`."""

    name: str
    arms: DataFrame
    """One row per arm: what it reached and spent, and its paired difference to the baseline."""
    trials: DataFrame
    """One row per trial; every searched path is a column."""
    curves: DataFrame
    """One row per epoch of every trial."""
    verdict: Report
    """The claims and what they rest on, as in `hpo report`."""


def load(storage: str, study: str) -> LoadedStudy:
    """The study called `study` in the storage at the URL `storage`.

    Raises:
        UserError: pandas is not installed.
        StorageError: the storage can't be opened.
        StudyError: there is no such study.
    """
    try:
        from pandas import DataFrame
    except ImportError:
        raise UserError("data frames need the pandas package", hint=f"pip install '{DISTRIBUTION}[notebook]'") from None
    opened = open_storage(storage)
    try:
        row, spec = find_study(opened, study)
        cells, points = opened.ledger.cells(row.id), opened.ledger.curves(row.id)
        report = verdict(opened, study)
    finally:
        opened.close()
    return LoadedStudy(
        name=study,
        arms=DataFrame([_arm(arm, report) for arm in report.arms]),
        trials=DataFrame(export.by_column(export.trials(spec, cells))),
        curves=DataFrame(export.by_column(export.curves(spec, cells, points))),
        verdict=report,
    )


def _arm(arm: ArmResult, report: Report) -> dict[str, Any]:
    return {
        "arm": arm.name,
        "baseline": arm.is_baseline,
        "tried": arm.tried,
        "search_epochs": arm.search.epochs,
        "confirm_epochs": arm.confirm.epochs,
        "search_best": arm.search_best,
        **_summary(report.objective.name, arm.validation),
        **_summary(report.objective.on("test").name, arm.test),
        **{name: value for metric, summary in arm.also for name, value in _summary(metric.name, summary).items()},
        **_difference(arm.difference),
        "configuration": arm.configuration,
    }


def _summary(name: str, summary: Summary | None) -> dict[str, Any]:
    fields = ("n", "mean", "std", "low", "high")
    return {f"{name}_{field}": getattr(summary, field, None) for field in fields}


def _difference(difference: Paired | None) -> dict[str, Any]:
    fields = {"difference": "difference", "difference_low": "low", "difference_high": "high", "p": "p"}
    return {name: getattr(difference, field, None) for name, field in fields.items()}
