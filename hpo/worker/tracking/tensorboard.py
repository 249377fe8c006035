"""TensorBoard: a folder of event files for each trial, written without torch."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpo.worker.tracking.tracker import Run


class TensorBoard:
    """Below the folder `where`, a folder for each study, and in it one for each trial."""

    package = "tensorboard"

    def __init__(self, where: str) -> None:
        import tensorboard.summary.writer.event_file_writer  # noqa: F401

        if not where:
            raise ValueError("it needs a folder, as in tensorboard:runs")
        self._folder = Path(where).expanduser()

    def begin(self, run: Run) -> _Events:
        return _Events(self._folder / run.study / run.name, run)


class _Events:
    def __init__(self, folder: Path, run: Run) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._event = Event
        self._writer = EventFileWriter(str(folder))
        # What an earlier worker has told is not shown any more: all of it is told again.
        self._write(0, session_log=SessionLog(status=SessionLog.START))
        self._tell("trial", json.dumps(run.about, indent=2, default=str))

    def log(self, at: int, metrics: Mapping[str, float]) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=name, simple_value=value) for name, value in metrics.items()]
        self._write(at, summary=Summary(value=values))
        self._writer.flush()

    def end(self, at: int, how: str, metrics: Mapping[str, float]) -> None:
        self._tell("ended", how)
        self.log(at, metrics)
        self._writer.close()

    def _tell(self, about: str, text: str) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.compat.proto.tensor_pb2 import TensorProto
        from tensorboard.compat.proto.types_pb2 import DT_STRING
        from tensorboard.plugins.text.metadata import create_summary_metadata

        tensor = TensorProto(dtype=DT_STRING, string_val=[f"```\n{text}\n```".encode()])
        value = Summary.Value(tag=about, metadata=create_summary_metadata(about, ""), tensor=tensor)
        self._write(0, summary=Summary(value=[value]))

    def _write(self, step: int, **content: Any) -> None:
        self._writer.add_event(self._event(wall_time=time.time(), step=step, **content))
