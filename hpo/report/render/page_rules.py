"""The rules of a report at the end of its page, and the words of the page that lead to them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape

TERMS = {
    "Intervals": r"95 % confidence|95 % intervals?|90 % interval",
    "Claims": r"corrected for the number of claims",
    "Searches": r"paired search(?:es)?",
    "Confirm": r"fresh seeds?|paired seeds?",
    "Search": r"search best, optimistic",
}
"""The rule that explains a word, by how it begins."""


class Rules:
    """The rules, each of which can be linked to by the word that it begins with."""

    def __init__(self, rules: Sequence[str]) -> None:
        self._rules = rules
        self._ids = {rule.partition(":")[0]: f"rule-{n}" for n, rule in enumerate(rules, 1)}

    def listed(self) -> Iterator[str]:
        """All rules."""
        yield '<ul class="rules">'
        for rule, id in zip(self._rules, self._ids.values(), strict=True):
            about, colon, text = rule.partition(":")
            yield f'<li id="{id}"><strong>{escape(about)}</strong>{colon}{escape(text)}</li>'
        yield "</ul>"

    def link(self, about: str, words: str) -> str:
        """Words that lead to a rule, if there is one about that."""
        id = self._ids.get(about)
        return f'<a href="#{id}">{escape(words)}</a>' if id else escape(words)

    def linked(self, text: str) -> str:
        """A text of ours whose words lead to the rules that explain them, each rule once."""
        places = [(found, about) for about, words in TERMS.items() if (found := re.search(words, text))]
        marked, end = "", 0
        for found, about in sorted(places, key=lambda place: place[0].start()):
            marked += escape(text[end : found.start()]) + self.link(about, found[0])
            end = found.end()
        return marked + escape(text[end:])
