"""The border between what trains a trial and everything else: what each side hands to the other.

    worker ──Trial──▶ Trainer.run ──Result──▶ worker
              ▲            │
              └─Evaluation─┘  report: go on?

How a trial ended (finished, pruned, diverged, interrupted) is the worker's conclusion.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from pydantic import BaseModel
from rich.console import RenderableType

from hpo.metric import Metric

Source = Literal["init", "order", "split"]
"""What is random in a trial: the weights that training begins with; all that is drawn while training, such as the order
of the data, augmentation and dropout; which data is held out."""

SPENT = "seconds."
"""The names begin so under which it is told, with the metrics of a unit, what its time went into besides training."""
SCORING = f"{SPENT}scoring"
"""What a trainer may tell: of the seconds of a unit, those in which it was scored."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What is known of a trial at one moment: after `at` units of its length, usually epochs."""

    at: int
    """Units done, from 1."""
    seconds: float
    """Wall time since the evaluation before, this one included."""
    metrics: Mapping[str, float]
    """All that was measured, by name: metrics of train and validation, and what moved (`lr`, `strength.l2`)."""

    def is_finite(self, metrics: Mapping[str, Metric]) -> bool:
        """Whether all of the `metrics` that were measured are numbers; otherwise the trial has diverged."""
        return all(math.isfinite(value) for name, value in self.metrics.items() if name in metrics)


@dataclass(frozen=True, slots=True)
class Result:
    """What a trainer hands back when it stops."""

    finished: bool
    """Whether the trial came to its own end: its whole length, or where it stops early."""
    test: Mapping[str, float] = field(default_factory=dict)
    """Metrics of test, of a finished trial in the confirm phase."""
    checkpoint: bytes | None = None
    """Where to go on, of a trial that was asked to stop."""
    weights: bytes | None = None
    """What was learned, of a finished trial of which it is to be kept."""
    validation: Mapping[str, float] = field(default_factory=dict)
    """Metrics of validation, of a finished trial, where they need not be those that were reported last."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What all workers of a study must have in common, such as its images."""

    fingerprint: str
    """Differs if what it stands for does."""
    what: str
    """What it stands for, in words: the subject of "… are not those that the study began with"."""
    hint: str
    """What to do if it differs."""


class Trial(Protocol):
    """What a trainer is handed by the worker: what to train, and whom to tell."""

    @property
    def config(self) -> Any:
        """The arm's `[trial]` with the point laid over it, as an object of the trainer's `spec`."""

    @property
    def seed(self) -> int:
        """What all randomness is drawn from."""

    @property
    def device(self) -> str:
        """Where to train, such as `cpu` and `cuda:0`."""

    @property
    def study(self) -> str:
        """A name of the study that is never given again; what is remembered of its data is kept under it."""

    @property
    def name(self) -> str:
        """What the trial is called in files, below its study: `fading/12-hold-confirm-seed-3`."""

    @property
    def scores_test(self) -> bool:
        """Whether test is to be scored at the end; it is in the confirm phase alone."""

    @property
    def keeps_weights(self) -> bool:
        """Whether what was learned is to be handed back."""

    @property
    def checkpoint(self) -> bytes | None:
        """Where to go on; None at the beginning."""

    def looks_at(self, at: int) -> bool:
        """Whether somebody looks at the scores after so many units: a pruner, or a claim about that moment."""

    def report(self, evaluation: Evaluation, save: Callable[[], bytes] | None) -> bool:
        """Tell what was measured; returns whether to go on.

        `save` makes a checkpoint and is called if one is due; None where a trial can't be saved.
        """

    def should_stop(self) -> bool:
        """Whether to stop here and hand back a checkpoint; to be asked often, before every step."""


class Machine(Protocol):
    """A device of this machine as a trainer uses it."""

    @property
    def device(self) -> str:
        """Its name, such as `cpu` and `cuda:0`."""

    @property
    def description(self) -> str:
        """The device as people know it."""

    def environment(self) -> Mapping[str, str]:
        """What a result may depend on: versions of libraries, the device, threads."""

    def examine(self) -> None:
        """Try what every trial needs.

        Raises:
            MachineError: something is missing here; a person can mend it.
            SickMachine: the device does not compute.
        """

    def recover(self) -> None:
        """See whether the device still computes after a trial that raised.

        Raises:
            SickMachine: it does not.
        """

    def is_to_blame(self, error: BaseException) -> bool:
        """Whether an error in a trial is the machine's fault and not the trial's."""

    def is_too_small(self, error: BaseException) -> bool:
        """Whether the trial needs more memory than the device has, of which nobody else holds much."""


class Trainer(Protocol):
    """One way of training: what its trials look like, what they report, and the verb `run`.

    A `trial` is the table `[trial]` as a study file has it, a `config` the same as an object of `spec`.
    """

    fixed: Mapping[str, str]
    """Parts of a trial that decide what it costs or what it is scored on, so no search may touch them; what to do."""
    shared: tuple[str, ...]
    """Parts that all arms have in common."""
    train_values: str
    """What its metrics of train are, in a sentence; empty where that is the user's affair."""

    def spec(self) -> type[BaseModel]:
        """The model that checks a trial."""

    def unit(self, trial: Mapping[str, Any]) -> str:
        """What the length of a trial is counted in: `epoch`."""

    def metrics(self, trial: Mapping[str, Any]) -> Mapping[str, Metric]:
        """All that is reported and has a goal, by name."""

    def objective(self, trial: Mapping[str, Any]) -> str:
        """The metric of validation by which trials are judged if the study names none."""

    def length(self, trial: Mapping[str, Any]) -> int:
        """How many units a trial is long."""

    def shortened(self, trial: Mapping[str, Any], units: int) -> Mapping[str, Any]:
        """What is laid over a trial to make it at most so long."""

    def keeps_weights(self, trial: Mapping[str, Any]) -> bool:
        """Whether what such a trial has learned is handed back, if asked for."""

    def stops_early(self, trial: Mapping[str, Any]) -> bool:
        """Whether a trial may come to its end before its length."""

    def scores_test_along(self, trial: Mapping[str, Any]) -> bool:
        """Whether test is scored along the way too, in the confirm phase, so that claims can be about an earlier
        moment."""

    def scored_every(self, trial: Mapping[str, Any]) -> int:
        """The units from one score on validation to the next; 1: it is scored after each. After those at which somebody
        looks, and after the last one, it is in any case."""

    def drawn_by(self, source: Source, seed: int) -> Mapping[str, Any] | None:
        """What is laid over a trial to draw a source of randomness by that seed, whatever the trial's own is; None
        where everything is drawn by the one seed that a trial is given."""

    def steers_by_validation(self, trial: Mapping[str, Any]) -> bool:
        """Whether something of a trial answers to what it measures on validation, which is then no fair score of it."""

    def amounts(self, trial: Mapping[str, Any], length: int) -> Mapping[str, int]:
        """What so many units of a trial take besides, by name, such as images and steps; empty if that isn't known."""

    def summary(self, trial: Mapping[str, Any]) -> str:
        """What is trained on, or run, in a line."""

    def look_at_data(self, configs: Mapping[str, Any]) -> RenderableType:
        """What the data is on this machine, loaded as for a trial, and what depends on it; `configs` are those of the
        arms by name, which share the data.

        Raises:
            MachineError: it is missing here.
        """

    def missing(self, trials: Sequence[Mapping[str, Any]]) -> Iterator[str]:
        """What these trials run and this machine does not have, a line for each; workers elsewhere may have it."""

    def limits(self, trial: Mapping[str, Any]) -> Iterator[str]:
        """What of a trial goes beyond what can be stored, a line for each: the key, and what is allowed."""

    def allows(self, trials: Sequence[Mapping[str, Any]]) -> Mapping[str, str]:
        """The environment variables with which workers may run what these trials name; for whoever trusts them."""

    def load(self) -> None:
        """Import what training needs, which may take seconds; it is done by itself later if it was not asked for."""

    def machine(self, device: str) -> Machine:
        """The device called `device` (`auto`: the best there is), prepared for training in this process.

        Raises:
            UserError: there is none of that name here, or it can't be used.
        """

    def identity(self, config: Any, trials: Sequence[Mapping[str, Any]], study: str) -> Identity:
        """What this machine would train `config` on; the same for all `trials` of a study, which those of its arms are.

        Raises:
            MachineError: it is missing here.
            pulse.Interrupted: inside `pulse.interruptible`, once a stop is asked for.
        """

    def code(self, trials: Sequence[Mapping[str, Any]]) -> str | None:
        """A digest of the user's own code that these trials run, as it is on this machine; None if they run none.

        Raises:
            MachineError: some of it is missing here.
        """

    def prefixes(self, config: Any, study: str, device: str) -> Sequence[str]:
        """A digest after each unit: two trials of one seed that have the same are the same up to there.

        Empty if that can't be known.
        """

    def packed(self, weights: bytes, trial: Mapping[str, Any], about: Mapping[str, Any]) -> bytes:
        """The content of a file for people: the weights that a trial has handed back, and what is known of it.

        Raises:
            CheckpointError: they can't be read.
        """

    def run(self, trial: Trial) -> Result:
        """Train it, from its checkpoint on if there is one.

        Raises:
            CheckpointError: the checkpoint is damaged, of another version or of another trial.
            MachineError: this machine lacks what the trial needs.
            pulse.Interrupted: a stop was asked for before anything was trained.
        """
