"""What of a study that has begun may still be corrected: its words, and how often a trial that raises is tried.

None of it changes what is trained, chosen or tested. Claims may be put into other words or another order, but neither
added nor dropped: their number corrects the p values.
"""

from __future__ import annotations

from collections import Counter

from hpo.study import Claim, StudySpec


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


def seeded_as(stored: StudySpec, given: StudySpec) -> StudySpec:
    """What is `given`, with seeds counted if the stored study was planned so, as the file of that time says no more."""
    if stored.protocol.seeding != "counted":
        return given
    protocol = given.protocol.model_copy(update={"seeding": "counted", "searches": 1})
    return given.model_copy(update={"protocol": protocol}) if given.protocol.searches == 1 else given


def changes_nothing(stored: StudySpec, given: StudySpec) -> bool:
    """Whether `given` is the stored study but for what may be corrected, so that the two have the same results."""
    return corrected(stored, given) == given


def _tested(study: StudySpec) -> Counter[Claim]:
    """What the claims compare, whatever they say of it and in whatever order."""
    return Counter(claim.model_copy(update={"text": ""}) for claim in study.claims)
