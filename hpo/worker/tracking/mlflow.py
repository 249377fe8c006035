"""MLflow: an experiment for each study, a run for each trial."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from hpo.worker.tracking.tracker import Run

KEY = "hpo.trial"
"""The tag by which a trial's run is found again."""
TOLD = "hpo.told"
"""The tag that says after how many units the run was told of last."""
STATES = {"failed": "FAILED", "interrupted": "KILLED"}
"""How a trial ended -> what MLflow calls it, if not finished."""


class MLflow:
    """Runs at the tracking URI `where`, else where MLFLOW_TRACKING_URI says."""

    package = "mlflow"

    def __init__(self, where: str) -> None:
        from mlflow.tracking import MlflowClient

        if urlsplit(where).password:
            raise ValueError("a command line is public: a URI with a password belongs in MLFLOW_TRACKING_URI")
        self._client = MlflowClient(where or None)

    def begin(self, run: Run) -> _Logged:
        found = self._client.get_experiment_by_name(run.study)
        experiment = found.experiment_id if found else self._client.create_experiment(run.study)
        same = self._client.search_runs([experiment], f"tags.`{KEY}` = '{run.key}'")
        if same:
            self._client.set_terminated(same[0].info.run_id, "RUNNING")
            return _Logged(self._client, same[0].info.run_id)
        made = self._client.create_run(experiment, tags={KEY: run.key}, run_name=run.name)
        for name, value in run.about.items():
            self._client.log_param(made.info.run_id, name, value)
        return _Logged(self._client, made.info.run_id)


class _Logged:
    def __init__(self, client: Any, run: str) -> None:
        self._client, self._run = client, run
        self._told = int(client.get_run(run).data.tags.get(TOLD, 0))

    def log(self, at: int, metrics: Mapping[str, float]) -> None:
        if at > self._told:  # MLflow forgets nothing, so a step that is told again would stand there twice
            self._write(at, metrics)

    def end(self, at: int, how: str, metrics: Mapping[str, float]) -> None:
        self._write(at, metrics)
        self._client.set_tag(self._run, "ended", how)
        self._client.set_terminated(self._run, STATES.get(how, "FINISHED"))

    def _write(self, at: int, metrics: Mapping[str, float]) -> None:
        from mlflow.entities import Metric, RunTag

        self._told, now = at, int(1000 * time.time())
        measured = [Metric(name, value, now, at) for name, value in metrics.items()]
        self._client.log_batch(self._run, metrics=measured, tags=[RunTag(TOLD, str(at))])
