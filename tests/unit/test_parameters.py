"""The parameters of a search space, those that exist under a choice included, and its points."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from hpo.search.parameters import Search, decode, grid, grid_size, parameters, point
from hpo.search.space import Range, Values
from hpo.study import Arm

PLAIN: dict[str, Range | Values] = {"a": Values(values=[1, 2]), "b": Values(values=["x", "y", "z"])}
OPTIMIZERS: dict[str, Any] = {
    "optimizer": {
        "values": {"sgd": {"kind": "sgd"}, "adam": {"kind": "adam"}, "rmsprop": {"kind": "rmsprop"}},
        "then": {
            "sgd": {"lr.peak": {"values": [0.1, 0.2]}, "optimizer.momentum": {"values": [0.0, 0.9]}},
            "adam": {"lr": {"peak": {"values": [0.001]}}},
        },
    },
    "model.activation": {"values": ["relu", "tanh"]},
}


def search(given: dict[str, Any]) -> Search:
    return Arm.model_validate({"search": given}).search


def test_names() -> None:
    """A path is its own name; under a choice the label stands beside it, and the choice comes before."""
    assert [
        "optimizer",
        "lr.peak if optimizer=sgd",
        "optimizer.momentum if optimizer=sgd",
        "lr.peak if optimizer=adam",
        "model.activation",
    ] == list(parameters(search(OPTIMIZERS)))


def test_labels_that_are_no_texts() -> None:
    """They stand as TOML writes them."""
    given = {
        "n": {"values": [3, 0.5, True, [1]], "then": {key: {"m": {"values": [1, 2]}} for key in ("3", "true", "[1]")}}
    }
    assert 2 + 1 + 2 + 2 == grid_size(search(given)) == len(list(grid(search(given))))


def test_grid() -> None:
    """Every combination once, the last path varying fastest; nothing searched is one point."""
    assert [(1, "x"), (1, "y"), (1, "z"), (2, "x"), (2, "y"), (2, "z")] == [
        (point["a"], point["b"]) for point in grid(PLAIN)
    ]
    assert [{}] == list(grid({}))
    assert (6, 1) == (grid_size(PLAIN), grid_size({}))


def test_a_grid_has_what_exists() -> None:
    """Under each label only its own parameters: (2 x 2 + 1 + 1) x 2 points."""
    points = list(grid(search(OPTIMIZERS)))
    assert 12 == len(points) == grid_size(search(OPTIMIZERS)) == len({repr(point) for point in points})
    assert {"optimizer": "adam", "lr.peak if optimizer=adam": 0.001, "model.activation": "relu"} in points
    assert {"optimizer": "rmsprop", "model.activation": "tanh"} in points
    sgd = [point for point in points if point["optimizer"] == "sgd"]
    assert all("optimizer.momentum if optimizer=sgd" in point for point in sgd)


def test_point() -> None:
    """What is chosen decides on what is asked for."""
    asked: list[str] = []

    def choose(name: str, searched: Range | Values) -> Any:
        asked.append(name)
        return searched.examples()[-1] if name == "optimizer" else searched.examples()[0]

    assert {"optimizer": "rmsprop", "model.activation": "relu"} == point(search(OPTIMIZERS), choose)
    assert ["optimizer", "model.activation"] == asked


def test_decode() -> None:
    """By the path that each parameter sets; a name that isn't searched is an error."""
    known: dict[str, Range | Values] = {
        "lr.peak": Range(low=0.01, high=1.0),
        "model.hidden": Values(values={"small": [10], "large": [100, 100]}),
    }
    assert {"model.hidden": [100, 100], "lr.peak": 0.3} == decode(known, {"model.hidden": "large", "lr.peak": 0.3})
    under = {"optimizer": "sgd", "lr.peak if optimizer=sgd": 0.2}
    assert {"optimizer": {"kind": "sgd"}, "lr.peak": 0.2} == decode(search(OPTIMIZERS), under)
    with pytest.raises(KeyError):
        decode(known, {"lr.floor": 0.0})


def test_survives_json() -> None:
    """As the storage keeps it, and without the field, as older ones were kept."""
    adapter = TypeAdapter(Arm)
    arm = adapter.validate_python({"search": OPTIMIZERS})
    assert arm == adapter.validate_json(adapter.dump_json(arm))
    assert Values(values=[1, 2]) == Values.model_validate_json('{"values": [1, 2]}')


A_RANGE = {"low": 0, "high": 1}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"o": {"values": ["a"], "then": {"b": {"x": A_RANGE}}}}, "no value has the label 'b'; labels: a"),
        ({"o": {"values": ["adam"], "then": {"adm": {"x": A_RANGE}}}}, "did you mean 'adam'"),
        (
            {"o": {"values": ["a"], "then": {"a": {"x": {"values": [1], "then": {"1": {"y": A_RANGE}}}}}}},
            "then.a: x can't have a `then` of its own",
        ),
        ({"o": {"values": ["a"], "then": {"a": {"x": A_RANGE}}}, "x": A_RANGE}, "'x' is searched twice"),
        (
            {name: {"values": ["a"], "then": {"a": {"x": A_RANGE}}} for name in ("o", "p")},
            "'x' is searched twice, by itself or under several choices",
        ),
        (
            {"o": {"values": ["a"], "then": {"a": {"x": {"y": A_RANGE}, "x.y": A_RANGE}}}},
            "'x.y' is given twice",
        ),
        ({"o": {"values": ["a"], "then": {"a": {"x": {"low": 2, "high": 1}}}}}, "must be below high"),
        ({"o": {"values": ["a"], "then": {"a": 5}}}, "valid dictionary"),
        ({"o": {"values": ["a"], "then": 5}}, "valid dictionary"),
    ],
)
def test_refused(given: dict[str, Any], message: str) -> None:
    """Labels that there are not, choices under choices, a path that two parameters would set."""
    with pytest.raises(ValidationError, match=message):
        search(given)
