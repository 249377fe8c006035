"""Weights & Biases, offline: a project for each study, a run for each trial; `wandb sync` uploads them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpo.worker.tracking.tracker import Run


class WeightsAndBiases:
    """Runs in the folder `where`, else in the one where the worker was started."""

    package = "wandb"

    def __init__(self, where: str) -> None:
        import wandb

        self._init = wandb.init
        self._settings = wandb.Settings(silent=True)
        self._folder = str(Path(where or ".").expanduser())
        Path(self._folder).mkdir(parents=True, exist_ok=True)

    def begin(self, run: Run) -> _Logged:
        return _Logged(
            self._init(
                mode="offline",
                project=run.study,
                name=run.name,
                id=run.key,
                dir=self._folder,
                config=dict(run.about),
                reinit="create_new",
                settings=self._settings,
            )
        )


class _Logged:
    def __init__(self, run: Any) -> None:
        self._run = run

    def log(self, at: int, metrics: Mapping[str, float]) -> None:
        self._run.log(dict(metrics), step=at)

    def end(self, at: int, how: str, metrics: Mapping[str, float]) -> None:
        self._run.summary.update({"ended": how, **metrics})
        self._run.finish()
