"""Where the values of a searched path lie on an axis."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence

from hpo.report.figures.values import Axis, shortened
from hpo.search.space import Label, Range, Values


class Scale:
    """Where the values of a searched path lie on an axis: numbers as they are, others side by side in the file's order.

    On a logarithmic axis 0 lies a decade left of the smallest other value.
    """

    def __init__(self, searched: Sequence[Range | Values]) -> None:
        self._searched = searched
        labels = [label for one in searched if isinstance(one, Values) for label in one.labels()]
        found = {label: _as_number(label) for label in labels}
        self.categories = {} if None not in found.values() else {str(label): place for place, label in enumerate(found)}
        ends = [end for one in searched if isinstance(one, Range) for end in (one.low, one.high)]
        numbers = [number for number in found.values() if number is not None] + ends
        above = [number for number in numbers if number > 0]
        asked = any(isinstance(one, Range) and one.log for one in searched)
        wide = not ends and len(above) > 1 and max(above) / min(above) >= 10
        self.log = not self.categories and (asked or wide) and len(above) > 1 and min(numbers) >= 0
        self._zero = 10.0 ** (math.floor(math.log10(min(above))) - 1) if self.log and 0 in numbers else None
        self._highest = max(above, default=1.0)

    def axis(self, label: str) -> Axis:
        """The axis, with its own ticks where numbers don't say it."""
        if self.categories:
            ticks = tuple((float(place), shortened(text, 18)) for text, place in self.categories.items())
            return Axis(label, ticks=ticks, limits=(-0.6, len(ticks) - 0.4), searched=True)
        if self._zero is None:
            return Axis(label, log=self.log, searched=True)
        decades = range(round(math.log10(self._zero)) + 1, math.floor(math.log10(self._highest) + 1e-9) + 1)
        ticks = ((self._zero, "0"), *((10.0**decade, f"{10.0**decade:g}") for decade in decades))
        return Axis(label, log=True, ticks=ticks, searched=True)

    def place(self, label: Label, aside: float) -> float:
        """The position of a value; `aside` keeps arms apart where values lie side by side."""
        if self.categories:
            return self.categories[str(label)] + aside
        number = _as_number(label)
        assert number is not None
        return self._zero if number == 0 and self._zero is not None else number


def _as_number(label: Label) -> float | None:
    """A number, also the only one of a list such as [50] (a net's one hidden layer)."""
    if isinstance(label, str) and re.fullmatch(r"\[[^],\[{\"]+\]", label):
        label = json.loads(label)[0]
    return float(label) if isinstance(label, int | float) and not isinstance(label, bool) else None
