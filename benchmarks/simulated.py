"""Real workers that don't train: everything they say to the database, at a pace of one's choosing.

One process runs many of them as threads, each with a storage, connections and a heartbeat of its own. Only the training
itself and the loading of images are left out; every call of the ledger is timed.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any

import hpo.worker.worker
from hpo.storage import open_storage
from hpo.storage.ledger import Ledger
from hpo.trainers.images.evaluation import Evaluation
from hpo.trainers.images.trainer import ImageTrainer
from hpo.trainers.moving.clock import Score
from hpo.trainers.trainer import Identity, Result, Trial
from hpo.worker import Worker, WorkerOptions

TIMED = ("claim", "record", "renew")

Times = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Pace:
    """How the workers of a process behave."""

    seconds_per_epoch: float
    seconds: float
    """How long they work."""
    lease: float = 60.0


_clock: Any = None


def prepare(ready: Any, clock: Any) -> None:
    """In each process: import what is imported late, before there are threads, and say so."""
    global _clock
    import hpo.storage.optuna.trials  # noqa: F401

    _clock = clock
    ready.release()


def simulate(url: str, workers: int, pace: Pace) -> Times:
    """Run so many workers from the time on the clock, which is the same in all processes; returns what calls took."""
    open_storage(url).optuna.get_all_studies()
    while not (begin := _clock.value):
        time.sleep(0.1)
    times: Times = {name: [] for name in TIMED}
    for name in TIMED:
        setattr(Ledger, name, _timed(getattr(Ledger, name), times[name], begin))
    stop, chance = Event(), random.Random(begin)
    ImageTrainer.run = lambda _, trial: _run(trial, pace, chance)  # type: ignore[method-assign]
    ImageTrainer.identity = lambda *_: Identity("", "", "")  # type: ignore[method-assign]
    hpo.worker.worker.environment = lambda machine: {}  # type: ignore[attr-defined]

    def work(number: int) -> None:
        storage = open_storage(url)
        time.sleep(max(begin - time.time() - 10 + 5 * chance.random(), 0.0))  # they don't come all at once
        Worker(storage, [], WorkerOptions(device="cpu", lease_seconds=pace.lease, forever=True), stop).run()
        storage.close()

    end = Thread(target=lambda: (time.sleep(max(begin + pace.seconds - time.time(), 0.0)), stop.set()))
    end.start()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, range(workers)))
    end.join()
    return times


def _run(trial: Trial, pace: Pace, chance: random.Random) -> Result:
    """Reports as those of the image trainer, without training."""
    score = Score(0.5, 0.9)
    first = chance.random()  # else all that began together would report together
    for epoch in range(1, trial.config.epochs + 1):
        if _asked(trial, pace.seconds_per_epoch * (first if epoch == 1 else 1.0)):
            return Result(finished=False)
        evaluation = Evaluation(epoch, epoch, score, score, 0.1, {"l2": 1e-3}, {"output.weight": 1.0}, 0.1, 1e4)
        if not trial.report(evaluation.reported(), lambda: b""):
            return Result(finished=False)
    return Result(finished=True)


def _asked(trial: Trial, seconds: float) -> bool:
    """Whether the trial is to stop, within so many seconds."""
    end = time.monotonic() + seconds
    while not trial.should_stop():
        left = end - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(left, 0.1))
    return True


def _timed(method: Callable[..., Any], times: list[float], begin: float) -> Callable[..., Any]:
    """The method, with what each call takes from `begin` on put into `times`; a claim that finds nothing is none."""

    def call(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        result = method(*args, **kwargs)
        if time.time() >= begin and (result is not None or method.__name__ != "claim"):
            times.append(time.perf_counter() - began)
        return result

    return call
