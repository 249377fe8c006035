"""What to say of a name that is none of those allowed: the one that was probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

LIKELY = 0.6
"""How much alike two names must be, 0..1, for one to be taken for a slip of the other."""
NEARLY_SURE = 0.8


def nearest(name: str, allowed: Iterable[str], at_least: float = LIKELY) -> str | None:
    """The one of `allowed` that is most like `name`, if any is."""
    by_form = {plain(one): one for one in reversed(list(allowed))}
    found = get_close_matches(plain(name), by_form, n=1, cutoff=at_least)
    return by_form[found[0]] if found else None


def did_you_mean(name: str, allowed: Iterable[str], at_least: float = LIKELY) -> str:
    """`; did you mean 'NEAREST'?`, or nothing."""
    meant = nearest(name, allowed, at_least)
    return "" if meant is None else f"; did you mean {meant!r}?"


def plain(name: str) -> str:
    """A name without what people mix up: capitals, and the kind of dash."""
    return name.casefold().replace("-", "_")
