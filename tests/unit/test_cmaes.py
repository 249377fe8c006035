"""CMA-ES decides as Optuna's does, and runs nothing that stands in the database."""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cmaes
import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import CmaEsSampler
from optuna.trial import create_trial

from hpo.search import CmaEs

SPACE: dict[str, BaseDistribution] = {
    "x": FloatDistribution(0.0, 1.0),
    "y": FloatDistribution(1e-4, 1.0, log=True),
}


class Opened:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Optuna tells of every trial."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(before)


@pytest.mark.parametrize("attribute", ["cma:optimizer", "cma:optimizer:0"])
def test_nothing_in_the_database_is_unpickled(attribute: str, tmp_path: Path) -> None:
    """A trial's attributes may come from anyone who writes there: another worker, a dashboard, another tool."""
    hostile = pickle.dumps(Opened(tmp_path / "opened")).hex()
    study = optuna.create_study(direction="maximize", sampler=CmaEs().build(7, 0, SPACE))
    for number in range(20):
        params = {"x": number / 20, "y": 0.1}
        attributes = {attribute: hostile, "cma:generation": 0}
        study.add_trial(create_trial(params=params, distributions=SPACE, value=0.5, system_attrs=attributes))
    study.ask(SPACE)
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_as_optunas(direction: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the same trials the same distribution to draw from; and no state is left in the study."""
    asked: list[cmaes.CMA] = []
    ask = cmaes.CMA.ask

    def noted(optimizer: cmaes.CMA) -> np.ndarray[Any, Any]:
        asked.append(optimizer)
        return ask(optimizer)

    monkeypatch.setattr(cmaes.CMA, "ask", noted)
    theirs = optuna.create_study(direction=direction, sampler=CmaEsSampler(seed=1))
    theirs.optimize(value_of, n_trials=60)
    ours = optuna.create_study(direction=direction, sampler=CmaEs().build(7, 0, SPACE))
    for trial in theirs.trials:
        generation = {name: value for name, value in trial.system_attrs.items() if name == "cma:generation"}
        copied = create_trial(params=trial.params, distributions=SPACE, value=trial.value, system_attrs=generation)
        ours.add_trial(copied)
    for study in (theirs, ours):
        study.ask(SPACE)
    one, other = asked[-2:]
    assert one.generation == other.generation > 5
    for name in ("mean", "_sigma", "_C", "_p_sigma", "_pc"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-9, err_msg=name)
    assert ["cma:generation"] == list(ours.trials[-1].system_attrs)


def value_of(trial: optuna.Trial) -> float:
    """Highest within the space."""
    x = trial.suggest_float("x", 0.0, 1.0)
    y = trial.suggest_float("y", 1e-4, 1.0, log=True)
    return -((x - 0.3) ** 2) - (math.log10(y) + 2.0) ** 2
