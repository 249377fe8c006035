"""What is searched: ranges, values under labels, and how a point of the space becomes a trial's table."""

from __future__ import annotations

from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import TypeAdapter, ValidationError

from hpo.search.space import Range, Searched, Values, merge, overlay


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"low": 0, "high": 1}, FloatDistribution(0.0, 1.0)),
        ({"low": 1e-5, "high": 0.1, "log": True}, FloatDistribution(1e-5, 0.1, log=True)),
        ({"low": 0, "high": 1, "step": 0.25}, FloatDistribution(0.0, 1.0, step=0.25)),
        ({"low": 1, "high": 9, "integer": True}, IntDistribution(1, 9)),
        ({"low": 1, "high": 9, "step": 2, "integer": True}, IntDistribution(1, 9, step=2)),
        ({"low": 1, "high": 900, "log": True, "integer": True}, IntDistribution(1, 900, log=True)),
        ({"values": [0.0, 1e-3]}, CategoricalDistribution([0.0, 1e-3])),
        ({"values": {"a": [1, 2], "b": [3]}}, CategoricalDistribution(["a", "b"])),
    ],
)
def test_distribution(given: dict[str, Any], expected: Any) -> None:
    """As written in a study file, and the same after the way through JSON."""
    adapter: TypeAdapter[Range | Values] = TypeAdapter(Searched)
    searched = adapter.validate_python(given)
    assert expected == searched.distribution()
    assert searched == adapter.validate_json(adapter.dump_json(searched))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"low": 1, "high": 1}, r"low \(1\) must be below high \(1\)"),
        ({"low": 2, "high": 1}, "must be below"),
        ({"low": 0, "high": 1, "log": True}, "low above 0"),
        ({"low": -1, "high": 1, "log": True}, "low above 0"),
        ({"low": 1, "high": 9, "log": True, "step": 1}, "can't be used together"),
        ({"low": 0, "high": 1, "step": 0}, "greater than 0"),
        ({"low": 0.5, "high": 3, "integer": True}, "whole numbers"),
        ({"low": 0, "high": 3, "step": 0.5, "integer": True}, "whole numbers"),
        ({"low": 0, "high": float("inf")}, "finite"),
        ({"low": float("nan"), "high": 1}, "finite"),
        ({"low": 0}, "Field required"),
        ({"low": 0, "hihg": 1}, "did you mean 'high'"),
        ({"values": []}, "at least 1 item"),
        ({"values": {}}, "at least 1 item"),
        ({"values": [0.1, 0.2, 0.1]}, "is listed twice"),
        ({"values": [[1, 2], [1, 2]]}, "is listed twice"),
        ({"values": [1], "low": 0}, "unknown key 'low'"),
        ({}, "Field required"),
    ],
)
def test_refused(given: dict[str, Any], message: str) -> None:
    """What is wrong, or what is allowed."""
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(Searched).validate_python(given)


@pytest.mark.parametrize(
    "given",
    [
        {"low": 0, "high": 1},
        {"low": 1e-5, "high": 0.1, "log": True},
        {"low": 0, "high": 1, "step": 0.25},
        {"low": 1, "high": 9, "integer": True},
    ],
)
def test_examples_lie_in_the_range(given: dict[str, Any]) -> None:
    """Both ends are among the values that a trial is checked with."""
    examples = Range(**given).examples()
    assert given["low"] in examples and given["high"] in examples
    assert all(given["low"] <= float(example) <= given["high"] for example in examples)


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0.0, 1e-3, 3], [0.0, 1e-3, 3]),
        (["up", "down"], ["up", "down"]),
        ([True, False], [True, False]),
        ([[200], [100, 100], []], ["[200]", "[100, 100]", "[]"]),
        ([{"kind": "hold"}, {"b": 1, "a": 2}], ['{"kind": "hold"}', '{"a": 2, "b": 1}']),
        ([1, "1", [1]], [1, "1", "[1]"]),
        ({"small": [10], "none": {"kind": "hold"}, "n": 3}, ["small", "none", "n"]),
    ],
)
def test_labels(values: Any, labels: list[Any]) -> None:
    """Numbers and texts are their own labels, lists and tables go by their JSON or name; and back."""
    searched = Values(values=values)
    assert labels == searched.labels() == searched.examples()
    written = list(values.values()) if isinstance(values, dict) else values
    assert written == [searched.decode(label) for label in labels]


@pytest.mark.parametrize("values", [[0.0, 1, "1"], [True, False], [[1], [2]], [1, True, 1.0]], ids=str)
def test_labels_survive_optuna(values: list[Any]) -> None:
    """Optuna stores a choice by its place; what it reads back is the same choice, unless it is refused."""
    try:
        searched = Values(values=values)
    except ValidationError:
        return
    choices = searched.distribution()
    back = [choices.to_external_repr(choices.to_internal_repr(label)) for label in searched.labels()]
    assert [(type(v), v) for v in values] == [(type(v), v) for v in map(searched.decode, back)]


@pytest.mark.parametrize("value", [[], {}, [1, [2, {"a": "b"}]], 'say "hi"', "ä", 1 << 70, -0.0], ids=str)
def test_decode_gives_back_what_was_written(value: Any) -> None:
    """Any value of a study file, of whatever kind."""
    for values in ([value, "other"], {"it": value, "other": 0}):
        searched = Values(values=values)
        decoded = searched.decode(searched.labels()[0])
        assert (type(value), value) == (type(decoded), decoded)


@pytest.mark.parametrize(
    ("base", "over", "expected"),
    [
        ({}, {"a": 1}, {"a": 1}),
        ({"a": 1, "b": 2}, {"b": 3}, {"a": 1, "b": 3}),
        ({"t": {"a": 1, "b": 2}}, {"t": {"b": 3, "c": 4}}, {"t": {"a": 1, "b": 3, "c": 4}}),
        ({"t": {"kind": "x", "a": 1}}, {"t": {"kind": "y", "b": 2}}, {"t": {"kind": "y", "b": 2}}),
        ({"t": {"kind": "x", "a": 1}}, {"t": {"kind": "x", "b": 2}}, {"t": {"kind": "x", "a": 1, "b": 2}}),
        ({"t": {"kind": "x", "a": 1}}, {"t": {"b": 2}}, {"t": {"kind": "x", "a": 1, "b": 2}}),
        ({"t": {"a": 1}}, {"t": {"kind": "y"}}, {"t": {"kind": "y"}}),
        (
            {"t": {"u": {"kind": "x", "a": 1}, "v": 1}},
            {"t": {"u": {"kind": "y"}}},
            {"t": {"u": {"kind": "y"}, "v": 1}},
        ),
        ({"t": {"a": 1}}, {"t": 5}, {"t": 5}),
        ({"t": 5}, {"t": {"a": 1}}, {"t": {"a": 1}}),
        ({"t": [1, 2]}, {"t": [3]}, {"t": [3]}),
    ],
)
def test_merge(base: dict[str, Any], over: dict[str, Any], expected: dict[str, Any]) -> None:
    """Table by table; another kind replaces the whole table; neither argument changes."""
    before = repr((base, over))
    assert expected == merge(base, over)
    assert before == repr((base, over))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, {"lr": {"kind": "cosine", "peak": 0.1}, "epochs": 3}),
        ({"lr.peak": 0.5}, {"lr": {"kind": "cosine", "peak": 0.5}, "epochs": 3}),
        (
            {"epochs": 4, "lr.floor": 0.01},
            {"lr": {"kind": "cosine", "peak": 0.1, "floor": 0.01}, "epochs": 4},
        ),
        ({"regularizers.l2.strength": 0.2}, None),
        ({"lr": {"kind": "constant", "peak": 1}}, {"lr": {"kind": "constant", "peak": 1}, "epochs": 3}),
        (
            {"lr": {"kind": "constant", "peak": 1}, "lr.peak": 2},
            {"lr": {"kind": "constant", "peak": 2}, "epochs": 3},
        ),
        ({"lr.kind": "constant", "lr.peak": 2}, {"lr": {"kind": "constant", "peak": 2}, "epochs": 3}),
    ],
)
def test_overlay(values: dict[str, Any], expected: dict[str, Any] | None) -> None:
    """Which schedule and how high may both be searched, in whatever order they are written."""
    base = {"lr": {"kind": "cosine", "peak": 0.1}, "epochs": 3}
    expected = expected or base | {"regularizers": {"l2": {"strength": 0.2}}}
    assert expected == overlay(base, values)
    assert expected == overlay(base, dict(reversed(values.items())))
    assert {"lr": {"kind": "cosine", "peak": 0.1}, "epochs": 3} == base
