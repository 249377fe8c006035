"""A terminal that shows what others wrote without doing it.

No text that is shown acts (`hpo.words.visible`) or is read as rich's markup, and no number of a table is cut.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import rich.console
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from hpo.cli.narrow import fitted
from hpo.cli.streams import let_go
from hpo.words.visible import visible


class Console(rich.console.Console):
    """rich's console, with foreign text in mind."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Everything that is shown passes here, cells of tables too, before it is laid out."""
        options = options or self.options
        if isinstance(renderable, Text):
            renderable = _visible(renderable)
        elif isinstance(renderable, Table):
            renderable = fitted(self, options, renderable)
        return super().render(renderable, options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Strings become texts here, when they are shown and when they are measured."""
        return super().render_str(visible(text), **options)

    def on_broken_pipe(self) -> None:
        """Whoever read this has seen enough (`hpo report | head`): the verb goes on, and says no more."""
        self.quiet = True
        let_go(self.file)


def _visible(text: Text) -> Text:
    """Make a text safe to show, each character in its place, so that styles stay where they are."""
    shown = visible(text.plain)
    if shown == text.plain:
        return text
    copy = text.copy()
    copy.plain = shown
    return copy
