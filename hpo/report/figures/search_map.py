"""Where a search found its good trials: the two paths that mattered most, and every trial between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from hpo.metric import Metric
from hpo.report.figures.importance import BEST_SHARE, Importance
from hpo.report.figures.scale import Scale
from hpo.report.figures.trials import called, thinned
from hpo.report.figures.values import Figure, Panel, Series, Style, shortened
from hpo.storage.rows import Cell
from hpo.storage.states import SEARCH
from hpo.study import StudySpec

MOST_ARMS = 12
"""Arms that have a panel; each has its own."""
WIDEST_LABEL = 40


def search_map(
    study: StudySpec, cells: Sequence[Cell], mattered: Mapping[str, Mapping[str, Importance]]
) -> Figure | None:
    """Each arm's search trials by the values of the two paths that matter most to it."""
    panels: list[Panel] = []
    series: list[Series] = []
    for arm in list(study.arms)[:MOST_ARMS]:
        paths = _two(study, arm, mattered.get(arm, {}))
        own = [cell for cell in cells if cell.arm == arm and cell.phase == SEARCH and cell.state == "done"]
        own = [cell for cell in own if all(path in (cell.params or {}) for path in paths)]
        if not own or len(paths) < 2:
            continue
        scales = [Scale([study.arms[arm].parameters[path].searched]) for path in paths]
        across, up = (scale.axis(shortened(path, WIDEST_LABEL)) for scale, path in zip(scales, paths, strict=True))
        for style, shown in _styled(study.objective, own):
            x, y = (
                tuple(scale.place((cell.params or {})[path], 0.0) for cell in shown)
                for scale, path in zip(scales, paths, strict=True)
            )
            series.append(
                Series(arm, len(panels), style, x, y, names=tuple(called(study.objective, cell) for cell in shown))
            )
        panels.append(Panel(arm, across, up))
    if not panels:
        return None
    further = f" The first {MOST_ARMS} arms." if len(study.arms) > MOST_ARMS else ""
    return Figure(
        id="search-map",
        title="Where the search found its best",
        caption="Every search trial of an arm, at its values of the two paths that mattered most, or are named first "
        f"where that can't be told. Large: the best {100 * BEST_SHARE:g} % of those that finished, by "
        f"{study.objective.words}. Open: pruned. What diverged is left out.{further}",
        arms=tuple(study.arms),
        panels=tuple(panels),
        series=tuple(series),
    )


def _two(study: StudySpec, arm: str, mattered: Mapping[str, Importance]) -> list[str]:
    """The two paths that matter most, or stand first; one of names lies along x, where there is room for them."""
    known = study.arms[arm].parameters
    paths = sorted(known, key=lambda path: -mattered[path].share if path in mattered else 0.0)[:2]
    return sorted(paths, key=lambda path: not Scale([known[path].searched]).categories)


def _styled(metric: Metric, cells: Sequence[Cell]) -> Iterator[tuple[Style, list[Cell]]]:
    finished = [cell for cell in cells if cell.ended == "finished" and cell.score is not None]
    ranked = sorted(finished, key=lambda cell: metric.place(cell.score))
    best = round(BEST_SHARE * len(ranked)) or 1
    pruned = [cell for cell in cells if cell.ended == "pruned"]
    styles: dict[Style, list[Cell]] = {
        "open points": pruned,
        "small points": ranked[best:],
        "large points": ranked[:best],
    }
    for style, own in styles.items():
        if own:
            yield style, thinned(own)
