"""MLflow: an experiment for each study, a run for each trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpo.worker.tracking.tracker import Run

KEY = "hpo.trial"
"""The tag by which a trial's run is found again."""
STATES = {"failed": "FAILED", "interrupted": "KILLED"}
"""How a trial ended -> what MLflow calls it, if not finished."""


class MLflow:
    """Runs at the tracking URI `where`, else where MLFLOW_TRACKING_URI says."""

    package = "mlflow"

    def __init__(self, where: str) -> None:
        from mlflow.tracking import MlflowClient

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
        self._last = 0

    def log(self, at: int, metrics: Mapping[str, float]) -> None:
        self._last = at
        for name, value in metrics.items():
            self._client.log_metric(self._run, name, value, step=at)

    def end(self, how: str, metrics: Mapping[str, float]) -> None:
        self.log(self._last, metrics)
        self._client.set_tag(self._run, "ended", how)
        self._client.set_terminated(self._run, STATES.get(how, "FINISHED"))
