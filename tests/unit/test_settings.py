"""Settings: one table for what would be many arms, and claims about one of them, all, a trend, or two."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from hpo.errors import StudyFileError
from hpo.evidence.statistics import paired
from hpo.report.figures.standing import standing
from hpo.report.render.text import terminal
from hpo.report.toml import study_file
from hpo.report.verdict.compare import compare
from hpo.report.verdict.plain import answer, in_plain_words
from hpo.report.verdict.results import Report
from hpo.study import StudySpec
from hpo.study.file import load, parse
from hpo.study.settings import slopes
from tests.unit.report_samples import TRIAL, confirm, search

SIZES = {"small": 16, "middle": 32, "large": 64}
LEVELS = {"small": 4.0, "middle": 5.0, "large": 6.0}


def table(*claims: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Two arms in three settings."""
    return {
        "name": "s",
        "trial": TRIAL | {"regularizers": {"l2": {"kind": "l2", "strength": 0.01}}},
        "protocol": {"confirm": {"seeds": 3}, "baseline": "fixed"},
        "settings": {
            name: {"trial": {"model": {"hidden": [units]}}, "at": {"size": LEVELS[name]}}
            for name, units in SIZES.items()
        },
        "arms": {
            "falls": {"trial": {"regularizers": {"l2": {"policy": {"kind": "ramp", "direction": "down"}}}}},
            "fixed": {},
        },
        "claims": list(claims),
    } | more


def claim(**more: Any) -> dict[str, Any]:
    return {"text": "falling is better", "greater": {"arm": "falls", "than": "fixed"} | more}


def test_every_arm_in_every_setting() -> None:
    """As one would write them out, each with its setting's baseline."""
    study = parse(table())
    assert [f"{way}_{size}" for size in SIZES for way in ("falls", "fixed")] == list(study.arms)
    for name, units in SIZES.items():
        trial = study.trial_of(f"falls_{name}", {})
        assert ([units], "ramp") == (list(trial.model.hidden), trial.regularizers["l2"].policy.kind)
        assert f"fixed_{name}" == study.baseline_of(f"falls_{name}") == study.baseline_of(f"fixed_{name}")
    assert ["falls_small", "falls_middle", "falls_large"] == study.meant_by("falls")
    assert ["falls_large"] == study.meant_by("falls_large")


def test_it_is_read_back_as_it_was_stored() -> None:
    """From the storage's JSON and from the file that a report writes: nothing is written out twice."""
    study = parse(table(claim(), claim(setting="large"), claim(along="size")))
    assert study == StudySpec.model_validate_json(study.model_dump_json())
    assert json.loads(parse(tomllib.loads(study_file(study))).model_dump_json()) == json.loads(study.model_dump_json())


def test_what_all_sampled_arms_search() -> None:
    """Under what each searches itself; a grid keeps to its own."""
    shared = {"lr.peak": {"low": 0.01, "high": 0.1, "log": True}}
    own = {"regularizers.l2.strength": {"low": 0.0, "high": 0.1}}
    arms = {
        "one": {"sampler": {"kind": "tpe"}},
        "two": {"sampler": {"kind": "tpe"}, "search": own},
        "three": {"sampler": {"kind": "tpe"}, "search": {"lr": {"peak": {"low": 0.1, "high": 0.5}}}},
        "grid": {"search": {"lr.peak": {"values": [0.1]}}},
    }
    given = table(
        arms=arms, search={"lr": {"peak": shared["lr.peak"]}}, protocol={"budget": {"trials": 3}}, settings={}
    )
    study = parse(given)
    searched = {name: list(arm.parameters) for name, arm in study.arms.items()}
    expected = {"one": ["lr.peak"], "two": ["lr.peak", *own], "three": ["lr.peak"], "grid": ["lr.peak"]}
    assert expected == searched
    assert 0.1 == study.arms["three"].search["lr.peak"].low  # type: ignore[union-attr]


GAINS = {"small": [0.01, 0.02, 0.03], "middle": [0.03, 0.02, 0.04], "large": [0.05, 0.06, 0.04]}
"""Setting -> what falling gains under each seed."""


def report(*claims: dict[str, Any]) -> Report:
    """The verdict where `GAINS` are measured, from levels that differ between settings."""
    study = parse(table(*claims))
    cells = []
    for place, (name, gains) in enumerate(GAINS.items()):
        for arm, values in (("fixed", [0.0] * 3), ("falls", gains)):
            cells.append(search(f"{arm}_{name}", 0, 0.5, params={}))
            cells += [
                confirm(f"{arm}_{name}", seed, 0.8, 0.7 + place / 10 + seed / 100 + value, params={})
                for seed, value in enumerate(values)
            ]
    return compare(study, cells)


def expected(by_seed: list[float]) -> Any:
    return pytest.approx(by_seed and fmean(by_seed))


def test_a_claim_over_all_settings() -> None:
    """Its units are the seeds, each with the mean over settings."""
    [found] = report(claim()).claims
    means = {seed: fmean(GAINS[name][seed] for name in GAINS) for seed in range(3)}
    by_hand = paired(means, dict.fromkeys(range(3), 0.0))
    assert found.difference is not None and by_hand is not None
    assert (3, pytest.approx(by_hand.difference), pytest.approx(by_hand.low)) == (
        found.difference.n,
        found.difference.difference,
        found.difference.low,
    )
    assert found.reason.startswith("falls - fixed, mean of 3 settings, test accuracy: +3.33")


def test_a_claim_about_one_setting_and_between_two() -> None:
    """By the names of the arms that are written out."""
    against = {"arm": "falls", "than": "fixed", "setting": "small"}
    one, two = report(claim(setting="large"), claim(setting="large", against=against)).claims
    assert one.difference is not None and pytest.approx(0.05) == one.difference.difference
    assert two.difference is not None and pytest.approx(0.03) == two.difference.difference
    assert two.reason.startswith("(falls_large - fixed_large) - (falls_small - fixed_small)")


def test_a_claim_about_a_trend() -> None:
    """The least-squares slope of the differences along where the settings lie, seed by seed."""
    import numpy as np

    [found] = report(claim(along="size")).claims
    each = [np.polyfit(list(LEVELS.values()), [GAINS[name][seed] for name in GAINS], 1)[0] for seed in range(3)]
    assert found.difference is not None
    assert pytest.approx(fmean(each)) == found.difference.difference
    assert found.reason.startswith("slope of falls - fixed along size, test accuracy: +1.50")
    assert in_plain_words(found).startswith(
        "The slope along size in test accuracy that was asked about is +1.50 points"
    )
    figure = standing(report(claim(), claim(along="size")))
    assert figure is not None
    titles = ["Difference in test accuracy", "Difference in test accuracy, slope along size"]
    assert ["Test accuracy", *titles] == [panel.title for panel in figure.panels]


def test_arms_of_different_settings_are_not_compared() -> None:
    """Without claims, the verdict is on each against the baseline of its setting."""
    assert "Within the settings, falls_large is clearly better than fixed in the same setting." == answer(report())


def test_over_all_settings() -> None:
    """In how many it is better, how likely one run is, with ties counted half."""
    found = report()
    [across] = found.across
    assert ("falls", 3, 3) == (across.way, across.settings, across.better_in)
    # Of the nine pairs of each setting, with gains of 1 to 6 points over seeds that are a point apart; ties count half.
    leads = [a + 100 * gains[a] - b for gains in GAINS.values() for a in range(3) for b in range(3)]
    won = sum(1.0 if lead > 1e-9 else 0.5 if lead > -1e-9 else 0.0 for lead in leads)
    assert pytest.approx(won / 27) == across.better.value
    assert across.better.low <= across.better.value <= across.better.high
    assert None is across.interquartile_mean, "of three settings no quarter can be left out"
    assert "Compute: equal within each setting" in found.compute
    assert "fixed in the same setting" == found.baseline
    assert terminal(found)


@pytest.mark.parametrize(
    ("claims", "more", "said"),
    [
        ([claim(setting="huge")], {}, "claims.0.greater.setting: there is no setting 'huge'; the settings are small,"),
        ([claim(setting="large")], {"settings": {}}, "the study has none"),
        ([claim(along="depth")], {}, "claims.0.greater.along: not every setting has a value for 'depth'"),
        ([claim(along="size")], {"settings": {"a": {"at": {"size": 1.0}}}}, "all settings have the same value"),
        ([{"text": "x", "greater": {"arm": "fals", "than": "fixed"}}], {}, "did you mean 'falls'?"),
        ([], {"settings": {"a": {"trial": {"data": {"kind": "digits"}}}}}, "arms must share the study's data"),
        ([], {"settings": {"a": {"trial": {"epochz": 3}}}}, "unknown key 'epochz'"),
        ([], {"settings": {"a b": {}}}, "settings"),
        ([], {"settings": {"a": {"hidden": 3}}}, "unknown key 'hidden'"),
        ([], {"settings": 3}, "settings"),
        ([claim(setting="large", along="size")], {}, "a trend is over all settings; leave `setting` out"),
        ([{"text": "x", "greater": {"arm": "falls", "than": "fixed_small"}}], {}, "give both by the arm's own name"),
        ([claim(setting=["large"])], {}, "setting"),
        ([], {"protocol": {"baseline": ["fixed"]}}, "baseline"),
        ([], {"settings": {"a": {"at": {"u": 1e300}}}}, "less than or equal to 1000000"),
        ([], {"arms": {"a_b": {}, "a": {}}, "settings": {"c": {}, "b_c": {}}, "protocol": {}}, "rename one of them"),
        ([], {"arms": {"a": {}, "a_c": {}}, "settings": {"c": {}}, "protocol": {}}, "rename one of them"),
        ([], {"arms": {"a" * 40: {}}, "settings": {"c" * 40: {}}, "protocol": {}}, "longer than 64 characters"),
        ([], {"arms": {f"a{n}": {} for n in range(51)}, "protocol": {}}, "51 arms in 3 settings are 153; at most 100"),
        ([], {"arms": {"a": {"baseline": "nope"}}, "protocol": {}}, "there is no arm 'nope'"),
        ([], {"arms": {"a": {"way": "x"}, "b": {}}, "protocol": {}, "settings": {}}, "hpo fills this in"),
        ([], {"arms": {"a": {"trial": 3}, "b": {}}, "protocol": {}}, "trial"),
        ([], {"search": {"lr.peak": {"low": 0.1, "high": 0.2}}}, "search: no arm has a sampler that proposes"),
        ([], {"search": {"lr.peak": 3}}, "search"),
    ],
)
def test_mistakes(claims: list[dict[str, Any]], more: dict[str, Any], said: str) -> None:
    """Each with a line of its own, and no traceback."""
    with pytest.raises(StudyFileError) as caught:
        parse(table(*claims, **more))
    assert said in str(caught.value)


def test_one_setting_against_all() -> None:
    """A difference in one of them less the mean over all."""
    [found] = report(claim(setting="large", against={"arm": "falls", "than": "fixed"})).claims
    assert found.difference is not None and pytest.approx(0.05 - 0.1 / 3) == found.difference.difference
    assert "(falls_large - fixed_large) - (falls - fixed, mean of 3 settings)" in found.reason


def test_an_arm_with_a_baseline_of_its_own() -> None:
    """By its name in the file: the one in the same setting."""
    given = table()
    given["arms"]["rises"] = {"baseline": "falls"}
    given["arms"]["falls"]["baseline"] = "falls"
    study = parse(given)
    assert "falls_large" == study.baseline_of("rises_large") == study.baseline_of("falls_large")


def test_a_profile_replaces_what_all_search() -> None:
    """A list in place of a range, as for an arm's own."""
    path = Path(__file__).parents[2] / "studies" / "quickstart.toml"
    study = load(path, ['search."lr.peak"={values=[0.1, 0.2]}'])
    assert [0.1, 0.2] == study.arms["fixed"].search["lr.peak"].labels()  # type: ignore[union-attr]


def test_slopes() -> None:
    """Weights that sum to nothing, and give 1 for a line of slope 1."""
    weights = slopes([1.0, 2.0, 4.0])
    assert pytest.approx(0.0) == sum(weights)
    assert pytest.approx(1.0) == sum(weight * level for weight, level in zip(weights, [1.0, 2.0, 4.0], strict=True))
