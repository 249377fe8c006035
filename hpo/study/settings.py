"""Settings: every arm in each of several circumstances, such as sizes of a net, written as one table.

A file with settings is the same as one that writes every arm out for every setting: `down` in the setting `h50` is the
arm `down_h50`. What is stored, planned and trained are those arms; each knows of which arm and setting it is, so that
claims can be about all settings together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from hpo.errors import StudyFileError
from hpo.search import DEFAULT_SAMPLER, Sampler
from hpo.search.space import by_path, merge
from hpo.spec import LONGEST_NAME, Name, Spec
from hpo.words.explain import shown

SIDES = ("greater", "less", "equal")
SAMPLER: TypeAdapter[Any] = TypeAdapter(Sampler)
MOST_ARMS = 100
"""Arms of a study, those of all its settings counted."""


class Setting(Spec):
    """A condition under which every arm runs."""

    trial: dict[str, Any] = {}
    """Changes to the study's trial, laid over it before each arm's own."""
    at: dict[Name, Annotated[float, Field(ge=-1e6, le=1e6)]] = Field(default={}, max_length=16)
    """The setting's value for a claim's `along`, such as `hidden = 50`; give the logarithm if settings differ by
    factors."""


def written_out(table: dict[str, Any]) -> dict[str, Any]:
    """The tables of a file with every arm written out for every setting, and with what all sampled arms search.

    What is malformed stays as it is, and is refused with all else that is wrong.

    Raises:
        StudyFileError: two arms would have one name, or a name is too long, or there are too many.
    """
    table = _with_shared_search(table)
    settings, arms = _tables(table.get("settings")), _tables(table.get("arms"))
    if not settings or not arms or all("way" in arm and "setting" in arm for arm in arms.values()):
        return table
    if mistakes := [*_mistakes_of_names(arms, settings)]:
        raise StudyFileError("\n".join(mistakes))
    protocol = dict(table["protocol"]) if isinstance(table.get("protocol"), dict) else {}
    baseline = protocol.get("baseline", next(iter(arms)))
    compared_with = baseline if _is_one_of(arms, baseline) else None
    written = {
        f"{way}_{setting}": _in_one_setting(way, arm, setting, settings[setting], compared_with, arms)
        for setting in settings
        for way, arm in arms.items()
    }
    claims = table.get("claims")
    if isinstance(claims, list):
        table = table | {"claims": [_in_settings(claim, arms, settings) for claim in claims]}
    if compared_with is not None and "baseline" in protocol:
        table = table | {"protocol": {key: value for key, value in protocol.items() if key != "baseline"}}
    return table | {"arms": written}


def _mistakes_of_names(arms: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[str]:
    """A line for each arm that can't be called what it would be in a setting, and for too many of them."""
    if len(arms) * len(settings) > MOST_ARMS:
        product = f"{len(arms)} arms in {len(settings)} settings are {len(arms) * len(settings)}"
        yield f"settings: {product}; at most {MOST_ARMS} are allowed in one study"
        return
    owners: dict[str, str] = dict.fromkeys(arms, "an arm of that name")
    for setting in settings:
        for way in arms:
            name, whose = f"{way}_{setting}", f"the arm {shown(way)} in the setting {shown(setting)}"
            if len(name) > LONGEST_NAME:
                yield f"settings: {whose} would be called {name}, which is longer than {LONGEST_NAME} characters"
            if name in owners:
                yield f"settings: {whose} would be called {name}, and so would {owners[name]}; rename one of them"
            owners[name] = whose


def _in_one_setting(
    way: str, arm: dict[str, Any], setting: str, of: dict[str, Any], baseline: str | None, arms: Mapping[str, Any]
) -> dict[str, Any]:
    own: dict[str, Any] = {"way": way, "setting": setting}
    below, trial = of.get("trial", {}), arm.get("trial", {})
    if isinstance(below, dict) and isinstance(trial, dict):
        own["trial"] = merge(below, trial)
    if "baseline" in arm:
        baseline = arm["baseline"]
    if _is_one_of(arms, baseline):
        own["baseline"] = f"{baseline}_{setting}"
    return arm | own


def _with_shared_search(table: dict[str, Any]) -> dict[str, Any]:
    """The study's `search` under that of every arm that has a sampler which proposes."""
    shared, arms = table.get("search"), _tables(table.get("arms"))
    if not isinstance(shared, dict) or not arms:
        return table
    try:
        shared = by_path(shared)
        own = {name: by_path(arm.get("search", {})) for name, arm in arms.items()}
    except (ValueError, AttributeError):
        return table
    if not any(map(_samples, arms.values())):
        raise StudyFileError('search: no arm has a sampler that proposes points, such as { kind = "tpe" }')
    more = {name: arm | {"search": shared | own[name]} if _samples(arm) else arm for name, arm in arms.items()}
    return {key: value for key, value in table.items() if key != "search"} | {"arms": more}


def _samples(arm: Mapping[str, Any]) -> bool:
    """Whether its sampler proposes points, as far as it is well-formed."""
    with suppress(ValidationError):
        return SAMPLER.validate_python(arm["sampler"]).proposes if "sampler" in arm else DEFAULT_SAMPLER.proposes
    return False


def _in_settings(claim: Any, arms: Mapping[str, Any], settings: Mapping[str, Any]) -> Any:
    """A claim about one setting, or between two, names the arms that are written out."""
    if not isinstance(claim, dict):
        return claim
    for side in SIDES:
        comparison = claim.get(side)
        if isinstance(comparison, dict):
            own = _in_setting(comparison, arms, settings)
            against = own.get("against")
            if isinstance(against, dict):
                own = own | {"against": _in_setting(against, arms, settings)}
            claim = claim | {side: own}
    return claim


def _in_setting(pair: dict[str, Any], arms: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    setting = pair.get("setting")
    if not _is_one_of(settings, setting):
        return pair
    named = {role: f"{pair[role]}_{setting}" for role in ("arm", "than") if _is_one_of(arms, pair.get(role))}
    return {key: value for key, value in pair.items() if key != "setting"} | named


def _is_one_of(known: Mapping[str, Any], name: Any) -> bool:
    return isinstance(name, str) and name in known


def slopes(levels: Sequence[float]) -> list[float]:
    """The weights with which values at these levels make the slope of their least-squares line.

    Raises:
        ValueError: the levels are all the same.
    """
    middle = sum(levels) / len(levels)
    squares = sum((level - middle) ** 2 for level in levels)
    if squares == 0:
        raise ValueError("all settings have the same value")
    return [(level - middle) / squares for level in levels]


def _tables(value: Any) -> dict[str, dict[str, Any]]:
    """A table of tables; nothing, if it is none."""
    is_one = isinstance(value, dict) and all(isinstance(below, dict) for below in value.values())
    return value if is_one else {}
