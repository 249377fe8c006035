"""A study of this folder, the raw data that `hpo export` has written of it, and what the study's file says of them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from statistics import fmean

from hpo.evidence.measured import after_the_end, last_epochs, measured, representative
from hpo.report.render.exported import params, rows
from hpo.report.verdict.compare import compare
from hpo.report.verdict.results import Report
from hpo.storage.rows import Cell, CurvePoint
from hpo.study import StudySpec
from hpo.study.file import load

STUDIES = Path(__file__).parent


class Judged:
    """A study, its raw data, and the verdict on it."""

    def __init__(self, file: Path, profile: str | None) -> None:
        self.study = load(file, profile=profile)
        self.cells = [_cell(self.study, row) for row in rows(trials(file, self.study))]
        curves = file.parent / "raw" / f"{self.study.name}-curves.csv.gz"
        self.curves = [_point(row) for row in rows(curves)]
        self.report: Report = compare(self.study, self.cells, self.curves)
        if self.report.unfinished or self.report.incomplete:
            lacking = [*self.report.unfinished, *self.report.incomplete]
            raise SystemExit(f"{file}: the raw data are not those of the file: {'; '.join(lacking)}")

    def train(self, metric: str) -> dict[str, float]:
        """Arm -> mean over its confirm seeds of what was measured in the last epoch."""
        read = after_the_end(last_epochs(self.cells, self.curves))
        found = {}
        for arm in self.study.arms:
            own = representative(self.study, [cell for cell in self.cells if cell.arm == arm])
            values = measured([self.study.metrics[metric]], {cell.id: [cell] for cell in own}, read)[metric]
            if values:
                found[arm] = fmean(values.values())
        return found


@cache
def judge(file: Path, profile: str | None) -> Judged:
    """The verdict on a study, once for all of its tables."""
    return Judged(file, profile)


def profiles(file: Path) -> list[str | None]:
    """None, which is the file as written, and the names of its profiles."""
    return [None, *tomllib.loads(file.read_text(encoding="utf-8")).get("profiles", {})]


def trials(file: Path, study: StudySpec) -> Path:
    """Where the trials of a study are, if it was run; its curves lie beside them."""
    return file.parent / "raw" / f"{study.name}-trials.csv.gz"


def _cell(study: StudySpec, row: Mapping[str, str]) -> Cell:
    return Cell(
        id=int(row["cell"]),
        arm=row["arm"],
        phase=row["phase"],  # type: ignore[arg-type]
        slot=int(row["slot"]),
        seed=int(row["seed"]),
        params=params(study.arms[row["arm"]].search, row),
        state=row["state"],  # type: ignore[arg-type]
        attempts=int(row["attempts"]),
        claims=int(row["claims"]),
        leader=None,
        leader_epochs=None,
        trial_id=None,
        trial_number=None,
        epochs=int(row["epochs"]),
        seconds=float(row["seconds"]),
        ended=row["ended"] or None,  # type: ignore[arg-type]
        score=_number(row["score"]),
        metrics={name: _number(row[name]) for name in study.metrics if row.get(name)},
        error=None,
        reason=None,
        failed_by=None,
        worker=row["worker"] or None,
        started=None,
        finished=None,
    )


def _point(row: Mapping[str, str]) -> CurvePoint:
    keys = ("study", "arm", "search", "phase", "slot", "seed", "cell", "epoch", "seconds")
    metrics = {name: _number(value) for name, value in row.items() if name not in keys and value}
    return CurvePoint(int(row["cell"]), int(row["epoch"]), float(row["seconds"]), metrics)


def _number(text: str) -> float | None:
    return float(text) if text else None
