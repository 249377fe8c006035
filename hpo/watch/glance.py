"""A study at a glance, on a terminal that is looked at while it runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hpo.watch.overview import ArmGlance, Overview
from hpo.watch.progress import in_unit
from hpo.watch.sparkline import WIDTH, sparklines
from hpo.words.visible import on_one_line

NARROW = 60
"""Columns of a terminal below which arms have no bar, and curves are half as wide."""
PROVISIONAL = "Claims, provisional until all is done:"


def glances(overviews: Sequence[Overview]) -> RenderableType:
    """Several studies, one below the other."""
    return Group(*(part for overview in overviews for part in (Glance(overview), Text())))


@dataclass(frozen=True, slots=True)
class Glance:
    """What a study is at and for how long, its arms, which way its claims lean, who works, and what failed last."""

    overview: Overview

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[RenderableType]:
        yield from _parts(self.overview, is_narrow=options.max_width < NARROW)


def _parts(overview: Overview, *, is_narrow: bool) -> Iterator[RenderableType]:
    left = f", time left: {overview.time_left}" if overview.time_left else ""
    yield Text(f"{overview.name}: {overview.state}{left}", style="bold")
    yield Text(on_one_line(overview.doing))
    if overview.arms:
        yield _arms(overview, is_narrow=is_narrow)
    if overview.leanings:
        yield Text(PROVISIONAL, style="bold yellow")
    for leaning in overview.leanings:
        yield Text(f"{leaning.leans}: {on_one_line(leaning.text)}")
        if leaning.measured:
            yield Padding(Text(on_one_line(leaning.measured), style="dim"), (0, 0, 0, 2))
    yield from (Text(line) for line in overview.workers)
    if overview.last_failure:
        yield Text(f"last failure: {on_one_line(overview.last_failure)}", style="red")


def _arms(overview: Overview, *, is_narrow: bool) -> Table:
    """A line for each arm; one scale for all curves, so that they can be compared."""
    any_failed = any(arm.failed for arm in overview.arms)
    view = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    view.add_column("arm", overflow="fold", max_width=24)
    if not is_narrow:
        view.add_column("")
    for name in ("done", *(["failed"] if any_failed else []), "best"):
        view.add_column(name, justify="right", no_wrap=True)
    view.add_column("curve", no_wrap=True)

    curves = sparklines([arm.curve for arm in overview.arms], WIDTH // 2 if is_narrow else WIDTH)
    for arm, curve in zip(overview.arms, curves, strict=True):
        bar = ProgressBar(total=arm.total, completed=arm.done + arm.failed, width=10)
        failed = Text(str(arm.failed), style="bold red") if arm.failed else ""
        view.add_row(
            Text(arm.name),
            *([] if is_narrow else [bar]),
            f"{arm.done}/{arm.total}",
            *([failed] if any_failed else []),
            _best(arm, overview),
            curve if curve.heights else "",
        )
    return view


def _best(arm: ArmGlance, overview: Overview) -> str:
    return "" if arm.best is None else in_unit(arm.best, overview.metric)
