"""The figures of a report: pure functions from a study, its cells and its curves to numbers.

`hpo.report.render.svg` and `hpo.report.render.plotly_figures` draw them. A figure that has nothing to show is not made.
"""

from __future__ import annotations

from collections.abc import Sequence

from hpo.report.figures.epochs import gradient_norms, learning_curves, what_moved
from hpo.report.figures.importance import all_importances, importances
from hpo.report.figures.search_map import search_map
from hpo.report.figures.space import gains, slices
from hpo.report.figures.spending import spending
from hpo.report.figures.standing import standing
from hpo.report.figures.values import Figure
from hpo.report.verdict.kept import reported
from hpo.report.verdict.results import Report
from hpo.storage.rows import Cell, CurvePoint
from hpo.study import StudySpec


def figures(study: StudySpec, cells: Sequence[Cell], curves: Sequence[CurvePoint], report: Report) -> list[Figure]:
    """All figures that there are numbers for, in the order in which they are read."""
    cells = reported(study, cells)
    mattered = all_importances(study, cells)
    made = (
        standing(report),
        learning_curves(study, cells, curves),
        what_moved(study, cells, curves),
        gradient_norms(study, cells, curves),
        spending(cells, report),
        gains(study, cells, report.baseline),
        search_map(study, cells, mattered),
        slices(study, cells),
        importances(study, mattered),
    )
    return [figure for figure in made if figure is not None]
