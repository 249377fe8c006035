"""The verdict as verbs print it: on one screen, with the commands that show more, or in full."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from hpo.cli.options import DEFAULT_STORAGE

if TYPE_CHECKING:
    from rich.console import RenderableType

    from hpo.report.verdict.results import Report


def shown(report: Report, *, full: bool, storage: str, as_page: bool = True) -> RenderableType:
    """A report to be printed; `as_page` also says how to come by its page."""
    from hpo.report.render.screen import REST, one_screen
    from hpo.report.render.text import terminal

    if full:
        return terminal(report)
    command = f"hpo report {report.name}{storage_flag(storage)}"
    page = [f"the page with figures: {command} -o DIR"] if as_page else []
    return one_screen(report, [f"everything: {command} {REST}", *page])


def storage_flag(storage: str) -> str:
    """What a further command needs to find the storage; a URL that may hold a password is left to HPO_STORAGE."""
    from hpo.words.masking import masked

    if storage == DEFAULT_STORAGE or not storage.startswith("sqlite"):
        return ""
    return f" --storage {shlex.quote(masked(storage))}"
