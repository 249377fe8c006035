"""What of a study that has begun may still be corrected: its words, and how often a trial that raises is tried.

None of it changes what is trained, chosen or tested. Claims may be put into other words or another order, but neither
added nor dropped: their number corrects the p values.
"""

from __future__ import annotations

from collections import Counter

from hpo.study import Claim, Comparison, StudySpec


def corrected(stored: StudySpec, given: StudySpec) -> StudySpec:
    """The stored study with the words of `given`; all else is as it was planned."""
    return stored.model_copy(
        update={
            "title": given.title,
            "source": given.source,
            "published": given.published,
            "claims": given.claims if _tested(given) == _tested(stored) else stored.claims,
            "protocol": stored.protocol.model_copy(update={"attempts": given.protocol.attempts}),
        }
    )


def changes_nothing(stored: StudySpec, given: StudySpec) -> bool:
    """Whether `given` is the stored study but for what may be corrected, so that the two have the same results."""
    return corrected(stored, given) == given


def _tested(study: StudySpec) -> Counter[tuple[Comparison | None, Comparison | None]]:
    """What the claims compare, whatever they say of it and in whatever order."""

    def compared(claim: Claim) -> tuple[Comparison | None, Comparison | None]:
        return claim.greater, claim.less

    return Counter(map(compared, study.claims))
