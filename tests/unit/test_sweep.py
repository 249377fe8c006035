"""W&B sweeps as studies: what becomes of each thing in them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hpo.cli import cli
from hpo.errors import UserError
from hpo.study.file import parse
from hpo.study.sweep import converted

SWEEP = """
program: train.py
method: bayes
name: a sweep
metric: {name: val_loss, goal: minimize}
run_cap: 30
parameters:
  lr: {distribution: log_uniform_values, min: 1.0e-4, max: 1.0e-1}
  layers: {min: 1, max: 4}
  dropout: {values: [0.0, 0.1, 0.3]}
  epochs: {value: 20}
  optimizer:
    parameters:
      momentum: {distribution: q_uniform, min: 0.5, max: 0.9, q: 0.1}
early_terminate: {type: hyperband, min_iter: 3}
controller: {type: local}
"""


def test_a_whole_one(tmp_path: Path) -> None:
    """The command prints a file that can be checked, with what is to be looked at above it."""
    file = tmp_path / "sweep.yaml"
    file.write_text(SWEEP)
    shown = CliRunner().invoke(cli, ["convert", str(file), "--length", "20"])
    assert 0 == shown.exit_code, shown.output
    table = tomllib.loads(shown.stdout)
    study = parse(table)
    assert ("a-sweep", 20, {"trials": 30}) == (study.name, study.arm("sweep").length, table["protocol"]["budget"])
    assert {
        "values.lr": {"low": 1e-4, "high": 0.1, "log": True},
        "values.layers": {"low": 1.0, "high": 4.0, "integer": True},
        "values.dropout": {"values": [0.0, 0.1, 0.3]},
        "values.optimizer_momentum": {"low": 0.5, "high": 0.9, "step": 0.1},
    } == table["arms"]["sweep"]["search"]
    assert (
        "python train.py --lr={lr} --layers={layers} --dropout={dropout} --epochs={epochs}" in table["trial"]["program"]
    )
    notes = [line for line in shown.stdout.splitlines() if line.startswith("# ")]
    for about in ("reports", "method", "early_terminate", "confirm", "controller"):
        assert any(line.startswith(f"# {about}: ") for line in notes), about


@pytest.mark.parametrize(
    ("given", "expected", "note"),
    [
        ({"min": 0.0, "max": 1.0}, {"low": 0.0, "high": 1.0}, ""),
        ({"distribution": "log_uniform", "min": 0, "max": 1}, {"low": 1.0, "high": pytest.approx(2.718281828)}, ""),
        ({"values": [1, 2], "probabilities": [0.9, 0.1]}, {"values": [1, 2]}, "x: probabilities have no counterpart"),
        ({"distribution": "normal", "mu": 0, "sigma": 1}, None, "x: normal has no counterpart; give a range"),
        (
            {"distribution": "beta", "min": 0, "max": 1},
            {"low": 0.0, "high": 1.0},
            "x: beta has no counterpart; its range",
        ),
    ],
)
def test_one_parameter(given: dict[str, Any], expected: Any, note: str) -> None:
    """Its range or values, and what is said of the rest."""
    table, notes = converted({"parameters": {"x": given, "y": {"value": 1}}}, "s", 1, "epochs")
    found = table["arms"]["sweep"]["search"].get("values.x")
    assert expected is None or expected.items() <= found.items()
    assert (expected is None) == (found is None)
    assert not note or any(line.startswith(note) for line in notes), notes


def test_what_chooses_by_test_is_told() -> None:
    """A sweep may; here it is said."""
    _, notes = converted({"metric": {"name": "test_acc"}, "parameters": {"x": {"value": 1}}}, "s", 1, "epochs")
    assert any("would choose by test" in line for line in notes)


def test_no_sweep(tmp_path: Path) -> None:
    """In words, with exit code 2."""
    with pytest.raises(UserError, match="no `parameters`"):
        converted({"method": "grid"}, "s", 1, "epochs")
    file = tmp_path / "x.yaml"
    for text, said in (("a: [", "is not YAML"), ("just text", "and not a table")):
        file.write_text(text)
        shown = CliRunner().invoke(cli, ["convert", str(file)])
        assert (2, True) == (shown.exit_code, said in shown.output)
