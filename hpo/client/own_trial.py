"""A trial as a training script sees it: one function, `hpo.trial()`, and five verbs.

    trial = hpo.trial(length=20, lr=0.1, width=64)      # started by hand, these count, and reports are printed
    for epoch in trial.loop(keep=[net, optimizer]):     # what is left of it, wherever another worker stopped
        for i, batch in enumerate(batches):
            trial.drive(optimizer, at=epoch + i / len(batches))
            ...
        trial.report(train=score(train), validation=score(validation))
    trial.finish(test=lambda: score(test))

A worker starts the script and talks to it over a socket, one line of JSON at a time; the script holds no password and
no database. This module needs nothing but the standard library; torch and numpy are used where the script has imported
them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hpo.client import keeping
from hpo.client.generators import generators, set_generators
from hpo.client.names import CHECKPOINT, SOCKET
from hpo.client.ranks import rank, ranks
from hpo.client.worker import ByHand, Worker

SPLITS = ("train", "validation")

_started: list[Trial] = []
"""The trial of this process, once it was asked for."""
Score = float | Mapping[str, float]
"""A number, which is that of the study's metric, or several by name."""


def trial(*, length: int | None = None, seed: int = 0, **values: Any) -> Trial:
    """The trial that this process was started for; by hand, one of this length with these values.

    Raises:
        TypeError: the study gives a value that the script does not name here.
        RuntimeError: the trial belongs to another process.
    """
    where = os.environ.get(SOCKET)
    if where is None:
        return Trial(ByHand(length or 1, seed, values))
    if _started:
        return _started[0]
    worker = Worker(where)
    given = worker.given["values"]
    for name in given.keys() - values.keys() if values else ():
        raise TypeError(
            f"the study gives {name!r}, but the script's call of hpo.trial() does not: add {name}=… there, "
            f"or correct {name!r} in the study file; the script knows {', '.join(values)}"
        )
    worker.given["values"] = values | given
    _started.append(Trial(worker))
    return _started[0]


class Trial:
    """One trial; made by `trial`."""

    def __init__(self, worker: Worker | ByHand) -> None:
        given = worker.given
        self.seed: int = given["seed"]
        """What all randomness is to be drawn from."""
        self.length: int = given["length"]
        """How many units it is long."""
        self.dir = Path(given["folder"])
        """A folder of its own, which is removed at its end."""
        self.state: dict[str, Any] = {}
        """Small things that the checkpoint keeps: numbers, texts, lists, dicts."""
        self._worker = worker
        self._values: dict[str, Any] = given["values"]
        self._begin: int = given["at"]
        self._scores_test: bool = given["scores_test"]
        self._keep: list[Any] = []
        self._save: Callable[[], None] = self._save_kept
        self._groups: dict[str, list[dict[str, float]]] = {}
        """What each optimizer's groups began with."""
        self._driven: list[Any] = []
        self._was_saved = False
        self._moving: set[str] = set()
        self._applied: set[str] = set()
        """The values that move and that an optimizer has, or that were asked for."""
        self._at = self._begin
        self._goes_on = True

    def __getitem__(self, name: str) -> Any:
        """A value as the study states it: a schedule's peak, a strength before it moves."""
        if name not in self._values:
            raise KeyError(f"the trial has no value {name!r}; it has {', '.join(self._values) or 'none'}")
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        """Whether there is a value of this name."""
        return name in self._values

    def moved(self, at: float) -> dict[str, float]:
        """The numbers among the values, as they are after so many units: those that don't move as they are stated."""
        found = self._worker.moved(at)
        self._applied |= found.keys()
        return {name: value for name, value in self._values.items() if type(value) in (int, float)} | found

    def loop(self, keep: Iterable[Any] = ()) -> Iterator[int]:
        """The units that are left, from 0 on; each ends with `report`.

        `keep` is whatever has `state_dict` and `load_state_dict`: what another process saved is restored first, and the
        generators of Python, numpy and torch with it. When the trial is pruned, or is to go on elsewhere, the process
        ends here, with exit code 0.
        """
        self._keep = list(keep)
        for each in self._keep:
            if not (hasattr(each, "state_dict") and hasattr(each, "load_state_dict")):
                raise TypeError(f"keep: {type(each).__name__} has no state_dict or no load_state_dict; it needs both")
        if self._begin > 0:
            self._restore()
        for unit in range(self._begin, self.length):
            yield unit
            if self._at != unit + 1:
                raise RuntimeError(f"report() was not called in unit {unit}: call it once in every unit")
            self.turn()

    def begin(self, save: Callable[[Path], None]) -> Path | None:
        """Where to go on, None at the beginning, for a framework that has a loop and checkpoints of its own.

        In place of `loop`: `save` writes such a checkpoint, as one file, to the path that it is given, and `extras` in
        it. Once the framework has loaded one, it hands these to `restore_extras`; after each `report` it calls `turn`.
        """
        self._save = lambda: save(self._checkpoint)
        return self._checkpoint if self._begin > 0 else None

    def needs_one_process(self, who: str) -> None:
        """See that this is no rank of several, whose generators `who` would not keep.

        Raises:
            RuntimeError: it is.
        """
        if ranks() > 1:
            raise RuntimeError(f"{who} saves the random generators of a single process, but {ranks()} ranks train here")

    def turn(self) -> None:
        """The boundary of two units: if the trial is pruned, or goes on elsewhere, the process ends here."""
        if not self._goes_on:
            sys.exit(0)

    def extras(self) -> dict[str, Any]:
        """What a checkpoint holds besides nets and optimizers: tensors, numbers and texts."""
        return {"state": self.state, "groups": self._groups, "generators": generators()}

    def restore_extras(self, extras: Mapping[str, Any]) -> None:
        """Go on from what `extras` gave."""
        self.state.update(extras["state"])
        self._groups = extras["groups"]
        set_generators(extras["generators"])

    def drive(self, optimizer: Any, at: float) -> None:
        """Set what the study moves in every group of the optimizer, after so many units.

        Each is set to the same multiple of what the group began with as the value is of the stated one, so a group
        without weight decay keeps none.
        """
        moved = self._worker.moved(at)
        self._moving |= moved.keys()
        for group, began in zip(optimizer.param_groups, self._began(optimizer), strict=True):
            for name in moved.keys() & began.keys():
                stated = self._values[name]
                _set(group, name, began[name] * moved[name] / stated if stated else moved[name])
                self._applied.add(name)

    def report(self, train: Score | None = None, validation: Score | None = None, **more: float) -> None:
        """Tell what was measured in the unit that has just ended: of train and validation, and whatever else.

        It is the last thing of a unit: the trial is saved here, so what changes after it is not in the checkpoint.
        """
        metrics = {name: float(value) for name, value in more.items()}
        for split, score in zip(SPLITS, (train, validation), strict=True):
            if score is not None:
                metrics |= self._by_name(split, score)
        if ignored := sorted(self._moving - self._applied):
            raise RuntimeError(
                f"the study moves {', '.join(ignored)}, but no optimizer given to drive() has it: "
                f"read trial.moved(at)[{ignored[0]!r}] and use it"
            )
        self._at += 1
        self._goes_on = self._worker.report(self._at, metrics, self._save)

    def finish(self, test: Score | Callable[[], Score] | None = None) -> None:
        """Say that the trial has come to its end; what `test` measures is asked for in the confirm phase alone."""
        metrics: dict[str, float] = {}
        if self._scores_test and test is not None:
            metrics = self._by_name("test", test() if callable(test) else test)
        self._worker.finish(metrics)

    def _by_name(self, split: str, score: Score) -> dict[str, float]:
        by_name = score if isinstance(score, Mapping) else {self._worker.given["metric"]: score}
        return {f"{split}_{name}": float(value) for name, value in by_name.items()}

    def _began(self, optimizer: Any) -> list[dict[str, float]]:
        """What the groups of an optimizer began with, by its place in `keep`, else by the order of first use."""
        known = [place for place, kept in enumerate(self._keep) if kept is optimizer]
        if known:
            key = f"keep {known[0]}"
        else:
            if not any(driven is optimizer for driven in self._driven):
                self._driven.append(optimizer)
            [place] = [place for place, driven in enumerate(self._driven) if driven is optimizer]
            key = f"driven {place}"
        began = self._groups.setdefault(key, [])
        began += [_numbers(group) for group in optimizer.param_groups[len(began) :]]
        return began

    # Checkpoints: tensors, numbers and texts only, so that reading one can't run code.

    def _save_kept(self) -> None:
        content = {"keep": [each.state_dict() for each in self._keep], **self.extras()}
        keeping.write(self._checkpoint, content, is_first=not self._was_saved)
        self._was_saved = True

    @property
    def _checkpoint(self) -> Path:
        return self.dir / (f"{CHECKPOINT}-{rank()}" if rank() else CHECKPOINT)

    def _restore(self) -> None:
        content = keeping.read(self._checkpoint)
        for each, kept in zip(self._keep, content["keep"], strict=True):
            each.load_state_dict(kept)
        self.restore_extras(content)


def _numbers(group: Mapping[str, Any]) -> dict[str, float]:
    """What a group has that is a number, or a tensor of one; a scheduler of torch's may have moved its `lr` already."""
    one = {name: value for name, value in group.items() if isinstance(value, int | float) or _is_tensor(value)}
    if "initial_lr" in one:
        one["lr"] = one["initial_lr"]
    return {name: float(value) for name, value in one.items()}


def _set(group: dict[str, Any], name: str, value: float) -> None:
    if _is_tensor(group[name]):
        group[name].fill_(value)
    else:
        group[name] = value


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "fill_") and value.numel() == 1
