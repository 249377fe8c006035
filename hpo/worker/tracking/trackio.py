"""Trackio: a project for each study, a run for each trial."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from hpo.worker.tracking.tracker import Run


class Trackio:
    """Runs in Trackio's own folder, which TRACKIO_DIR names."""

    package = "trackio"

    def __init__(self, where: str) -> None:
        import trackio

        if where:
            raise ValueError("it does not take a place; set TRACKIO_DIR to its folder")
        self._trackio = trackio

    def begin(self, run: Run) -> _Logged:
        with suppress(ValueError):  # as it says that there is no such project yet
            for same in [each for each in self._trackio.Api().runs(run.study) if each.name == run.name]:
                same.delete()  # all of it is told again
        self._trackio.init(run.study, name=run.name, config=dict(run.about), embed=False)
        return _Logged(self._trackio)


class _Logged:
    def __init__(self, trackio: Any) -> None:
        self._trackio = trackio

    def log(self, at: int, metrics: Mapping[str, float]) -> None:
        self._trackio.log(dict(metrics), step=at)

    def end(self, at: int, how: str, metrics: Mapping[str, float]) -> None:
        if metrics:
            self._trackio.log(dict(metrics), step=at)
        self._trackio.finish()
