"""What the units of two arms decide about a claim, in numbers.

A claim has up to two answers: that the difference lies beyond its margin, on one side or the other, and that it lies
within what matters. The first is a two-sided test; the second are two one-sided ones, of which the weaker counts (TOST,
Schuirmann 1987). No difference is on both sides of a bound, so a claim counts as one test with the smaller of its p
values (Goeman, Solari and Stijnen 2010); over the claims of a study Holm's method (1979) keeps the chance that any of
them is answered wrongly at 5 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from hpo.evidence.statistics import CONFIDENCE, Paired, holm, paired
from hpo.study import Claim

LEVEL = 1 - CONFIDENCE

Answer = Literal["supported", "contradicted", "no difference"]


@dataclass(frozen=True, slots=True)
class Assessment:
    """A claim's difference, and how surely it has either answer."""

    difference: Paired | None
    """Its p: against the margin of the claim, or against the nearer bound of what counts as equal."""
    p_beyond: float | None
    """That it lies beyond the margin, as it does."""
    p_within: float | None
    """That it lies within what matters; None where the claim does not say what matters."""

    @property
    def p(self) -> float | None:
        """The smaller one."""
        return min((p for p in (self.p_beyond, self.p_within) if p is not None), default=None)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a study makes of a claim's test among all of its claims."""

    answer: Answer | None
    """None: the claim is not decided."""
    p_corrected: float | None
    """The p value by Holm's method."""


def assess(claim: Claim, a: Mapping[int, float], b: Mapping[int, float], *, anytime: bool) -> Assessment:
    """The test of a claim, whose arms have measured a and b under their units, or whose two pairs differ so."""
    low, high = bounds(claim)
    margin = claim.margin
    first = paired(a, b, margin=margin, anytime=anytime)
    if first is None or first.p is None:
        return Assessment(first, None, None)
    if low is None or high is None:
        return Assessment(first, first.p, None)
    to_bounds = [paired(a, b, margin=bound, anytime=anytime) for bound in (low, high)]
    each = [found.p for found in to_bounds if found is not None and found.p is not None]
    is_within = low < first.difference < high
    one_sided = 1.0 if anytime or not first.std else 0.5
    p_within = one_sided * max(each) if is_within else 1.0
    if claim.equal is None:
        return Assessment(first, first.p, p_within)
    nearer = to_bounds[0] if first.difference < margin else to_bounds[1]
    return Assessment(nearer, 1.0 if is_within or nearer is None else nearer.p, p_within)


def untested(test: Assessment) -> Assessment:
    """The assessment of a claim that may not be answered, for trials that it asks about have no value."""
    return Assessment(test.difference, None, None)


def bounds(claim: Claim) -> tuple[float, float] | tuple[None, None]:
    """The differences between which there is none that matters, if the claim says so."""
    width = claim.equal.within if claim.equal else claim.matters
    return (None, None) if width is None else (claim.margin - width, claim.margin + width)


def decide(claims: Sequence[Claim], tests: Sequence[Assessment]) -> list[Decision]:
    """The answer to each claim, corrected for their number; one that isn't tested yet counts."""
    corrected = holm([test.p for test in tests])
    found = [Decision(None, p) for p in corrected]
    known = sorted((p, place) for place, test in enumerate(tests) if (p := test.p) is not None)
    for rank, (_, place) in enumerate(known):
        p_corrected = corrected[place]
        if p_corrected is not None and p_corrected < LEVEL:
            answer = _answer(claims[place], tests[place], LEVEL / (len(claims) - rank))
            found[place] = Decision(answer, p_corrected)
    return found


def answer_beyond(claim: Claim, difference: Paired) -> Answer:
    """The answer that a difference which lies beyond the margin, as this one does, gives to a claim."""
    if claim.equal:
        return "contradicted"
    return "supported" if (difference.difference > claim.margin) == bool(claim.greater) else "contradicted"


def _answer(claim: Claim, test: Assessment, level: float) -> Answer | None:
    """Where both answers are sure enough, a difference counts, however small it is."""
    if test.difference is not None and test.p_beyond is not None and test.p_beyond < level:
        return answer_beyond(claim, test.difference)
    if test.p_within is not None and test.p_within < level:
        return "supported" if claim.equal else "no difference"
    return None
