"""What a claim compares, unit by unit: two arms, two differences, or either over all settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from hpo.study import Contrast, Pair, StudySpec
from hpo.study.settings import slopes

ByUnit = Mapping[int, float]
Look = Callable[[str, float | None], ByUnit]
"""(arm, share of its length) -> what it measured then under each unit."""


def sides(study: StudySpec, contrast: Contrast, look: Look) -> tuple[ByUnit, ByUnit]:
    """Both sides of the comparison under every unit: of two pairs, the difference of each."""
    first, *others = [_pair(study, pair, _weights(study, contrast, pair), look) for pair in contrast.pairs]
    if not others:
        return first
    return minus(*first), minus(*others[0])


def compared_arms(study: StudySpec, contrast: Contrast) -> list[tuple[str, float | None]]:
    """Every arm that the comparison looks at, and when: over all settings, those of each."""
    found = [
        (arm, pair.at) for pair in contrast.pairs for name in (pair.arm, pair.than) for arm in study.meant_by(name)
    ]
    return list(dict.fromkeys(found))


def moments_of_claims(study: StudySpec) -> frozenset[int]:
    """The epochs, of any arm, about which the study makes claims: a trial may go on with what another arm's began."""
    looked_at = [each for claim in study.claims for each in compared_arms(study, claim.comparison)]
    return frozenset(study.epoch_at(arm, at) for arm, at in looked_at if at is not None)


def minus(a: ByUnit, b: ByUnit) -> dict[int, float]:
    """The difference under every unit that both have."""
    return {unit: a[unit] - b[unit] for unit in a.keys() & b.keys()}


def _weights(study: StudySpec, contrast: Contrast, pair: Pair) -> list[float]:
    arms = study.meant_by(pair.arm)
    if contrast.along is None:
        return [1 / len(arms)] * len(arms)
    return slopes([study.settings[study.arms[arm].setting or ""].at[contrast.along] for arm in arms])


def _pair(study: StudySpec, pair: Pair, weights: Sequence[float], look: Look) -> tuple[ByUnit, ByUnit]:
    a, b = ([look(arm, pair.at) for arm in study.meant_by(name)] for name in (pair.arm, pair.than))
    if len(a) == len(b) == 1:
        return a[0], b[0]
    return _weighed(a, weights), _weighed(b, weights)


def _weighed(values: Sequence[ByUnit], weights: Sequence[float]) -> dict[int, float]:
    """The weighted sum under every unit that all of them have."""
    everywhere = set.intersection(*(set(own) for own in values))
    parts = list(zip(weights, values, strict=True))
    return {unit: sum(weight * own[unit] for weight, own in parts) for unit in sorted(everywhere)}
