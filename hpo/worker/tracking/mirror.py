"""The trackers of a worker, each told in a thread of its own: what it does there stops no trial and slows none."""

from __future__ import annotations

import importlib
import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from queue import Full, Queue
from threading import Thread

from hpo.errors import UserError
from hpo.words.masking import masked_text
from hpo.worker.tracking.tracker import Run, Shown, Tracker

log = logging.getLogger(__name__)

KINDS = {
    "tensorboard": ("hpo.worker.tracking.tensorboard", "TensorBoard"),
    "mlflow": ("hpo.worker.tracking.mlflow", "MLflow"),
    "wandb": ("hpo.worker.tracking.wandb", "WeightsAndBiases"),
    "trackio": ("hpo.worker.tracking.trackio", "Trackio"),
}
"""The name in `--track` -> where the class stands, which is imported if it is asked for."""
MOST_WAITING = 10_000
"""What a tracker has not been told yet, at most; one that is so far behind is told no more of the trial."""
LAST_SECONDS = 30.0
"""How long a worker that ends waits for its trackers."""


def open_trackers(named: Iterable[str]) -> Trackers:
    """Those that `--track KIND[:WHERE]` names.

    Raises:
        UserError: there is no such kind, its package is missing, or WHERE makes no sense.
    """
    return Trackers([_Told(text.partition(":")[0], _opened(text)) for text in named])


def _opened(text: str) -> Tracker:
    kind, _, where = text.partition(":")
    if kind not in KINDS:
        raise UserError(f"--track {kind!r}: allowed are {', '.join(KINDS)}, each optionally followed by :WHERE")
    module, name = KINDS[kind]
    made = getattr(importlib.import_module(module), name)
    try:
        tracker: Tracker = made(where)
    except ImportError as error:
        raise UserError(f"--track {kind}: {error}", hint=f"pip install {made.package}") from None
    except ValueError as error:
        raise UserError(f"--track {kind}: {masked_text(str(error), where)}") from None
    except Exception as error:
        said = masked_text(str(error).partition("\n")[0], where)
        raise UserError(f"--track {kind}: {type(error).__name__}: {said}") from None
    return tracker


class Trackers:
    """All of a worker."""

    def __init__(self, told: list[_Told]) -> None:
        self._told = told

    def begin(self, run: Run) -> Mirror:
        """Show a trial from now on."""
        return Mirror(self._told, run)

    @property
    def are_none(self) -> bool:
        """Whether nobody is to be told."""
        return not self._told

    def close(self) -> None:
        """Let them hear what is left."""
        for one in self._told:
            one.close()


class Mirror:
    """One trial, in all trackers."""

    def __init__(self, told: list[_Told], run: Run) -> None:
        self._told, self._run = told, run
        self._at = 0
        self._begin(run)

    def log(self, at: int, metrics: Mapping[str, float]) -> None:
        """What was measured after `at` units."""
        if at <= self._at:  # its checkpoint is older than what was measured, or could not be read
            self._begin(replace(self._run, so_far=[point for point in self._run.so_far if point[0] < at]))
        self._at = at
        for one in self._followed:
            one.then(lambda shown: shown.log(at, _finite(metrics)))

    def end(self, how: str, metrics: Mapping[str, float | None]) -> None:
        """How it ended."""
        at = self._at
        for one in self._followed:
            one.then(lambda shown: shown.end(at, how, _finite(metrics)))

    def _begin(self, run: Run) -> None:
        self._followed = [_Followed(one, run) for one in self._told]
        self._at = run.so_far[-1][0] if run.so_far else 0


class _Followed:
    """One trial in one tracker; once that has failed, it is told no more of this trial."""

    def __init__(self, told: _Told, run: Run) -> None:
        self._told, self._run = told, run
        self._shown: Shown | None = None
        self._is_given_up = False
        self._ask(self._begin)

    def then(self, tell: Callable[[Shown], None]) -> None:
        """Tell it something, when its turn comes."""

        def told() -> None:
            if self._shown is not None:
                tell(self._shown)

        self._ask(told)

    def _begin(self) -> None:
        self._shown = self._told.tracker.begin(self._run)
        for at, metrics in self._run.so_far:
            self._shown.log(at, _finite(metrics))

    def _ask(self, what: Callable[[], None]) -> None:
        if not self._is_given_up and not self._told.ask(lambda: self._try(what)):
            self._give_up("it is too far behind")

    def _try(self, what: Callable[[], None]) -> None:
        if self._is_given_up:
            return
        try:
            what()
        except Exception as error:  # whatever it is, the trial goes on
            self._give_up(f"{type(error).__name__}: {masked_text(str(error))}")

    def _give_up(self, why: str) -> None:
        self._is_given_up = True
        log.warning("%s receives no more of %s: %s", self._told.kind, self._run.name, why)


class _Told:
    """A tracker, and the thread in which it is told."""

    def __init__(self, kind: str, tracker: Tracker) -> None:
        self.kind, self.tracker = kind, tracker
        self._queue: Queue[Callable[[], None] | None] = Queue(MOST_WAITING)
        self._thread = Thread(target=self._serve, name=f"track {kind}", daemon=True)
        self._thread.start()

    def ask(self, what: Callable[[], None]) -> bool:
        """Do this when its turn comes; False if too much is waiting."""
        try:
            self._queue.put_nowait(what)
        except Full:
            return False
        return True

    def close(self) -> None:
        try:
            self._queue.put_nowait(None)
        except Full:
            return
        self._thread.join(LAST_SECONDS)
        if self._thread.is_alive():
            log.warning("%s did not receive everything within %g seconds", self.kind, LAST_SECONDS)

    def _serve(self) -> None:
        while (what := self._queue.get()) is not None:
            what()


def _finite(metrics: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if value is not None and math.isfinite(value)}
