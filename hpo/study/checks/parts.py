"""What is wrong with the tables of a study beyond each of them: between its parts, and in the trials that they make.

Every part is looked at by itself, as far as it is well-formed, so that one mistake hides no other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any, TypeVar

from pydantic import ValidationError

from hpo.errors import StudyFileError
from hpo.search.space import merge
from hpo.spec import Spec
from hpo.study import Arm, Claim, Contrast, Published, StudySpec, parse_trial
from hpo.study.checks.arms import arm_mistakes, example, labels_with
from hpo.study.protocol import VARIES, Protocol
from hpo.study.spec import laid_over
from hpo.trainers import trainer_of
from hpo.words.explain import shown
from hpo.words.suggest import did_you_mean, nearest

T = TypeVar("T", bound=Spec)

MOST_OF_AN_ARM = 10
"""Mistakes that are told of one arm."""


def mistakes(table: Mapping[str, Any]) -> Iterator[str]:
    """A line for each mistake that no table has by itself; what is malformed is told elsewhere, and left out here.

    Misspelt tables are looked at as what they are meant to be, so that nothing seems to be missing because of them.
    """
    table = _as_meant(table, StudySpec)
    given = _table(table.get("arms"))
    arms = _all_well_formed(given)
    overlays = _all_well_formed({name: {"trial": _table(raw).get("trial", {})} for name, raw in given.items()})
    yield from _trial_mistakes(table.get("trial"), overlays | arms)
    protocol = _as_meant(_table(table.get("protocol")), Protocol)
    yield from _baseline_mistakes(protocol, given)
    settings = _table(table.get("settings"))
    for name, raw in given.items():
        if isinstance(raw, dict):
            yield from _written_out_mistakes(name, raw, given, settings)
    trial = _table(table.get("trial"))
    metrics = trainer_of(trial).metrics(trial)
    yield from _metric_mistakes(protocol.get("metric"), "protocol.metric", metrics, "validation")
    confirmed = "confirm" in protocol
    if protocol.get("vary_split") is True and trainer_of(trial).drawn_by("split", 0) is None:
        yield "protocol.vary_split: a program splits its data itself, by its own seed, new in each search; leave it out"
    varied = _table(protocol.get("confirm")).get("vary")
    if varied is not None and set(_list(varied)) != {*VARIES} and trainer_of(trial).drawn_by("init", 0) is None:
        yield "protocol.confirm.vary: a program gets one seed for everything that is random; leave it out"
    is_sequential = _table(protocol.get("confirm")).get("until") is not None
    if is_sequential and not _list(table.get("claims")):
        yield "protocol.confirm.until: the study makes no claim that could be decided; leave it out, or add [[claims]]"
    if protocol.get("select") == "best" and (every := trainer_of(trial).scored_every(trial)) != 1:
        yield (
            f'protocol.select: "best" is the best of all {trainer_of(trial).unit(trial)}s, and trial.score_every = '
            f"{shown(every)} scores only some of them; leave one of the two out"
        )
    if protocol.get("keep_weights") is True and not confirmed:
        yield "protocol.keep_weights: the weights of confirm trials are kept; add protocol.confirm"
    if protocol.get("keep_weights") is True and not trainer_of(trial).keeps_weights(trial):
        yield "protocol.keep_weights: where the program saves its weights is not known; name the file in trial.resume"
    for number, raw in enumerate(_list(table.get("claims"))):
        claim = _well_formed(Claim, raw)
        if claim is not None:
            where = f"claims.{number}.{claim.side}"
            yield from _metric_mistakes(claim.comparison.metric, f"{where}.metric", metrics)
            yield from _followed_mistakes(claim.comparison, where) if is_sequential else ()
            yield from _setting_mistakes(claim.comparison, where, settings)
            scored_along = trainer_of(trial).scores_test_along(trial)
            yield from _claim_mistakes(claim.comparison, where, given, confirmed, scored_along)
            yield from _steered_mistakes(claim.comparison, where, trial, arms)
    for number, raw in enumerate(_list(table.get("published"))):
        row = _well_formed(Published, raw)
        if row is not None:
            yield from _metric_mistakes(row.metric, f"published.{number}.metric", metrics)
            yield from _published_mistakes(row, f"published.{number}", given, arms)


def _followed_mistakes(comparison: Contrast, where: str) -> Iterator[str]:
    """What keeps seeds from being added until a claim is decided."""
    if any(pair.at is not None for pair in comparison.pairs):
        yield f"{where}.at: with protocol.confirm.until claims must be about the end; make this one in another study"
    if (comparison.metric or "").startswith("train"):
        yield f"{where}.metric: with protocol.confirm.until claims must be about validation or test"


def _trial_mistakes(trial: Any, arms: Mapping[str, Arm]) -> Iterator[str]:
    """Mistakes of the study's trial, then of each arm's where they are its own."""
    if not isinstance(trial, dict):
        return
    own: list[str] = []
    try:
        parse_trial(trial, "trial")
    except StudyFileError as error:
        own = str(error).splitlines()
        yield from own
    for name, arm in arms.items():
        repeated = {f"arms.{name}.{line}" for line in own}
        fresh = (line for line in arm_mistakes(trial, name, arm) if line not in repeated)
        yield from islice(fresh, MOST_OF_AN_ARM)
        if next(fresh, None) is not None:
            yield f"arms.{name}: more mistakes of this kind"


def _baseline_mistakes(protocol: Mapping[str, Any], arms: Collection[str]) -> Iterator[str]:
    baseline = protocol.get("baseline")
    if isinstance(baseline, str) and baseline not in arms:
        yield f"protocol.baseline: {_no_such_arm(baseline, arms)}"


def _written_out_mistakes(
    name: str, raw: Mapping[str, Any], arms: Mapping[str, Any], settings: Mapping[str, Any]
) -> Iterator[str]:
    """What is wrong with the baseline of an arm, and with what nobody writes but us."""
    baseline = raw.get("baseline")
    if isinstance(baseline, str) and baseline not in arms:
        yield f"arms.{name}.baseline: {_no_such_arm(baseline, arms)}"
    elif isinstance(baseline, str) and _table(arms[baseline]).get("baseline", baseline) != baseline:
        yield f"arms.{name}.baseline: {baseline} is itself compared with another arm"
    for key in ("way", "setting"):
        if key in raw and raw[key] is not None and not (name == f"{raw.get('way')}_{raw.get('setting')}" and settings):
            yield f"arms.{name}.{key}: hpo fills this in, leave it out; give every setting a table [settings.NAME]"


def _metric_mistakes(name: Any, where: str, metrics: Collection[str], split: str = "") -> Iterator[str]:
    """Find what is wrong with the name of a metric, which is to be one of `metrics`, and of `split` if one is given."""
    known = [metric for metric in metrics if metric.startswith(split)]
    if isinstance(name, str) and name not in known:
        what = f"on {split}, a trial" if split else "a trial"
        yield f"{where}: {what} reports {', '.join(known)}; not {shown(name)}{did_you_mean(name, known)}"


NEAREST = 1e-6
"""How far apart settings have to lie for a trend along them."""


def _setting_mistakes(comparison: Contrast, where: str, settings: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the settings that a claim names."""
    for pair, at in ((comparison, where), (comparison.against, f"{where}.against")):
        if pair is not None and pair.setting is not None:
            known = f"the settings are {', '.join(settings)}" if settings else "the study has none"
            yield f"{at}.setting: there is no setting {shown(pair.setting)}; {known}"
            return
    if comparison.along is None:
        return
    found = [_table(_table(setting).get("at")).get(comparison.along) for setting in settings.values()]
    levels = [level for level in found if isinstance(level, int | float)]
    if not levels or len(levels) < len(found):
        yield f"{where}.along: not every setting has a value for {shown(comparison.along)} in its `at`"
    elif max(levels) - min(levels) < NEAREST:
        yield f"{where}.along: all settings have the same value of {shown(comparison.along)}"


def _claim_mistakes(
    comparison: Contrast, where: str, arms: Mapping[str, Any], confirmed: bool, scored_along: bool
) -> Iterator[str]:
    """What is wrong with what a claim compares; `scored_along`: test is measured at earlier moments, too."""
    ways = dict.fromkeys(raw["way"] for raw in arms.values() if isinstance(raw, dict) and "way" in raw)
    metric = comparison.metric or "what is compared"
    is_test = comparison.metric is None or comparison.metric.startswith("test")
    for pair, at in zip(comparison.pairs, (where, f"{where}.against"), strict=False):
        for role, arm in (("arm", pair.arm), ("than", pair.than)):
            if arm not in arms and arm not in ways:
                yield f"{at}.{role}: {_no_such_arm(arm, ways or arms)}"
        if ways and (pair.arm in ways) != (pair.than in ways):
            yield f"{at}: compares an arm in all settings with one in a single setting; give both by the arm's own name"
        if comparison.along is not None and pair.arm in arms:
            yield f"{at}.along: a trend is over all settings; leave `setting` out"
        if pair.arm == pair.than:
            yield f"{at}: compares {pair.arm!r} with itself"
        if pair.at is not None and is_test and not scored_along:
            yield (
                f"{at}.at: {metric} is scored only after the last epoch; name a metric of validation or train, or, for "
                "images, set trial.test_curve = true"
            )
    if len(set(comparison.pairs)) < len(comparison.pairs):
        yield f"{where}.against: the same pair"
    if not confirmed and is_test:
        yield f"{where}.metric: {metric} needs a confirm phase; add protocol.confirm"


def _steered_mistakes(
    comparison: Contrast, where: str, trial: Mapping[str, Any], arms: Mapping[str, Arm]
) -> Iterator[str]:
    """Arms that are to be compared by the images, or the part of a program's data, that they were steered by."""
    if not (comparison.metric or "").startswith("validation"):
        return
    compared = dict.fromkeys(arm for pair in comparison.pairs for arm in (pair.arm, pair.than))
    for arm in arms:
        if (arm in compared or arms[arm].way in compared) and _steers_by_validation(trial, arms[arm]):
            yield (
                f"{where}.metric: a policy of {arm} reacts to validation, which is then not an unbiased score; claim "
                "something about test, or, for images, hold out a part for the policy (trial.data.steer)"
            )


def _steers_by_validation(trial: Mapping[str, Any], arm: Arm) -> bool:
    """Whether any trial of it does, as far as they are well-formed."""
    tried = [
        labels_with(arm, name, label)
        for name, parameter in arm.parameters.items()
        for label in parameter.searched.examples()
    ]
    for labels in tried or [{}]:
        with suppress(ValidationError, StudyFileError):
            table = laid_over(merge(trial, arm.trial), "", arm, example(arm, labels))
            if trainer_of(trial).steers_by_validation(table):
                return True
    return False


def _published_mistakes(row: Published, where: str, given: Collection[str], arms: Mapping[str, Arm]) -> Iterator[str]:
    if row.arm not in given:
        yield f"{where}.arm: {_no_such_arm(row.arm, given)}"
    elif row.arm in arms:
        known = arms[row.arm].parameters
        for path in row.params:
            if path not in known:
                searched = ", ".join(known) or "nothing"
                meant = did_you_mean(path, known)
                yield f"{where}.params: {row.arm} does not search {shown(path)}; it searches {searched}{meant}"


def _no_such_arm(name: str, arms: Collection[str]) -> str:
    return f"there is no arm {shown(name)}; the arms are {', '.join(map(str, arms))}{did_you_mean(name, arms)}"


def _as_meant(table: Mapping[str, Any], form: type[Spec]) -> dict[str, Any]:
    """A table with the keys of `form` where one was probably meant; an unknown key itself is told elsewhere."""
    known = {key: value for key, value in table.items() if key in form.model_fields}
    meant = {nearest(key, form.model_fields): value for key, value in table.items() if key not in known}
    return {str(key): value for key, value in meant.items() if key is not None} | known


def _all_well_formed(given: Mapping[str, Any]) -> dict[str, Arm]:
    return {name: arm for name, raw in given.items() if (arm := _well_formed(Arm, raw)) is not None}


def _well_formed(form: type[T], raw: Any) -> T | None:
    try:
        return form.model_validate(raw)
    except ValidationError:
        return None


def _table(raw: Any) -> dict[str, Any]:
    return raw if isinstance(raw, dict) else {}


def _list(raw: Any) -> list[Any]:
    return raw if isinstance(raw, list) else []
