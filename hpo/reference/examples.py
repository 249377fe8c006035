"""An example of each kind of table, as a study file writes it: for the reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

REQUIRED: dict[str, Any] = {
    "low": 1e-4,
    "high": 0.1,
    "values": [0.0, 1e-3, 1e-2],
    "wrapped": {"kind": "median"},
    "folder": "pets",
    "file": "scans.npz",
    "target": "my_code:build",
    "hidden": [100, 100],
    "depth": 14,
    "std": 0.01,
    "peak": 0.1,
    "factors": [1.0, 0.1, 0.01],
    "epochs": [10, 20],
    "strength": 1e-3,
    "direction": "down",
    "raise_above": 0.2,
    "lower_below": 0.05,
    "minus": "train_loss",
    "strengths": [1e-3, 2e-3, 1e-3],
}
"""Values for fields that have no default, by name."""
BY_KIND: dict[str, dict[str, Any]] = {
    "gap": {"of": "validation_loss"},
    "restarts": {"of": {"kind": "cosine", "peak": 0.1}},
    "warmup": {"of": {"kind": "cosine", "peak": 0.1}, "epochs": 2},
    "exponential": {"factor": 0.9},
    "linear": {"epochs": 50},
    "weight_decay": {"strength": 0.01},
    "cautious_weight_decay": {"strength": 0.01},
    "dropout": {"strength": 0.3},
    "input_noise": {"strength": 0.1},
    "label_smoothing": {"strength": 0.1},
    "sparse_gradient": {"strength": 0.5},
    "batch_size": {"strength": 2.0},
}
"""Values of a kind's own, also where it must say one of several things, none of which is required by itself."""
WIDTH = 100
"""Characters of an example, about; what is left at its default is left out where there are too many fields."""


def example(model: type[BaseModel], written: Callable[[Any], str]) -> str:
    """A table of that kind in TOML: what it must say, and then what it may, at its defaults.

    `written` makes TOML of a value.
    """
    fields = sorted(model.model_fields, key=lambda name: name != "kind")  # the kind is said first
    own = BY_KIND.get(str(model.model_fields["kind"].default), {}) if "kind" in model.model_fields else {}
    given: dict[str, Any] = {}
    optional: dict[str, Any] = {}
    for name in fields:
        field = model.model_fields[name]
        if name in own:
            given[name] = own[name]
        elif field.is_required():
            given[name] = REQUIRED[name]
        elif name == "kind":
            given[name] = field.default
        elif field.default is not None and not (isinstance(field.default, dict | tuple) and not field.default):
            optional[name] = field.default
    for name, default in optional.items():
        longer = {key: (given | {name: default})[key] for key in fields if key in given or key == name}
        if len(written(longer)) > WIDTH:
            break
        given = longer
    return written(given)
