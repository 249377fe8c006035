"""The name that was probably meant."""

from __future__ import annotations

import pytest

from hpo.words.suggest import NEARLY_SURE, did_you_mean, nearest

OPTIMIZERS = ["sgd", "adam", "adamw", "rmsprop"]


@pytest.mark.parametrize(
    ("name", "allowed", "expected"),
    [
        ("adamW", OPTIMIZERS, "adamw"),
        ("ADAM", OPTIMIZERS, "adam"),
        ("sdg", OPTIMIZERS, "sgd"),
        ("weight-decay", ["weight_decay", "l2"], "weight_decay"),
        ("peek", ["kind", "peak"], "peak"),
        ("lion", OPTIMIZERS, None),
        ("", OPTIMIZERS, None),
        ("x", [], None),
    ],
)
def test_nearest(name: str, allowed: list[str], expected: str | None) -> None:
    """Slips, capitals and dashes are seen through; what is like nothing is left alone."""
    assert expected == nearest(name, allowed)


def test_did_you_mean() -> None:
    """As a message goes on; nothing, if nothing is like it or not enough so."""
    assert "; did you mean 'adamw'?" == did_you_mean("adammw", OPTIMIZERS)
    assert "" == did_you_mean("budget", ["augment"], NEARLY_SURE)
