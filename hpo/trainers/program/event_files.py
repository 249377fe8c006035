"""Reports from TensorBoard's event files, as a program writes them that knows nothing of trials."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hpo.errors import MachineError
from hpo.trainers.program.spec import MARK


class EventFiles:
    """The event files below a folder: a step at which all tags were written is a report, once."""

    def __init__(self, folder: Path, tags: Mapping[str, str]) -> None:
        """Look for scalars called as the values of `tags`; its keys are the metrics that they are.

        Raises:
            MachineError: the package that reads them is missing here.
        """
        try:
            from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
        except ImportError as error:
            raise MachineError(
                f"reports.tensorboard: {error}", hint="pip install 'hpo-studies[tensorboard]' on this worker"
            ) from None
        self._loader = EventFileLoader
        self._folder, self._metrics = folder, {tag: metric for metric, tag in tags.items()}
        self._loaders: dict[Path, Any] = {}
        self._found: dict[int, dict[str, float]] = defaultdict(dict)
        """What was written of each step that is not complete yet."""
        self._passed_on: set[int] = set()

    def new(self, is_all: bool) -> list[dict[str, float]]:
        """The reports since the last look, in the order in which they became complete."""
        reports = []
        for step, tag, value in self._scalars():
            if step in self._passed_on or tag not in self._metrics:
                continue
            self._found[step][self._metrics[tag]] = value
            if len(self._found[step]) == len(self._metrics):
                self._passed_on.add(step)
                reports.append({MARK: float(step), **self._found.pop(step)})
        return reports

    def _scalars(self) -> Iterator[tuple[int, str, float]]:
        from tensorboard.util.tensor_util import make_ndarray

        for path in sorted(self._folder.rglob("*tfevents*")):
            if path not in self._loaders:
                self._loaders[path] = self._loader(str(path))
            for event in self._loaders[path].Load():  # those since the last look; a half written one waits
                for value in event.summary.value:
                    if value.tag in self._metrics and value.HasField("tensor"):
                        yield event.step, value.tag, float(make_ndarray(value.tensor).reshape(-1)[0])
