"""A trial in progress: everything that training changes, one optimizer step at a time, and its checkpoint."""

from __future__ import annotations

import io
import math
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import astuple, dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from hpo.errors import CheckpointError
from hpo.seeds import derive
from hpo.trainers.images.batches import Batches, Chosen, Normalize
from hpo.trainers.images.checkpoint import numbers_of, packed, score_of, unpacked
from hpo.trainers.images.compilation import CompilationLog, compiled
from hpo.trainers.images.data.images import Images, Splits
from hpo.trainers.images.data.splits import sample
from hpo.trainers.images.evaluation import Evaluation
from hpo.trainers.images.metrics import gradient_norm, named_parameters, score, sparsity
from hpo.trainers.images.plateau import PlateauState
from hpo.trainers.images.prefix import Prefix
from hpo.trainers.images.recorded_step import RecordedStep, records
from hpo.trainers.images.regularizers import decay, decay_groups, parameters
from hpo.trainers.images.trial import TrialSpec
from hpo.trainers.moving.clock import Clock, Observation, Score
from hpo.trainers.moving.reading import Noted

if TYPE_CHECKING:
    from hpo.trainers.images.regularizers import RegularizerSpec
    from hpo.trainers.images.regularizers.record import Rate


@dataclass(frozen=True, slots=True)
class Best:
    """The net of the epoch with the highest validation accuracy."""

    validation: Score
    model: dict[str, Tensor]
    """Its weights and buffers, a copy."""


class Run:
    """The state of one trial. Two runs of the same (trial, seed, splits) take the same steps."""

    def __init__(self, trial: TrialSpec, seed: int, splits: Splits) -> None:
        self._trial = trial
        self._seed = seed
        self._splits = splits
        self._device = splits.train.labels.device
        torch.manual_seed(seed if trial.init_seed is None else trial.init_seed)
        _, channels, height, width = splits.train.inputs.shape
        self.model = trial.model.build((channels, height, width), splits.classes).to(self._device)
        # Convolutions are 1.2 to 1.9 times as fast with the channels of a pixel side by side.
        convolves = any(isinstance(module, nn.Conv2d) for module in self.model.modules())
        self._format = torch.channels_last if convolves else torch.contiguous_format
        self.model.to(memory_format=self._format)
        self._forward = compiled(self.model, self._device) if trial.compile else self.model
        self._watched_step = CompilationLog().step if trial.compile else nullcontext
        self._normalize = Normalize.of(splits)
        self.train: Score | None = None
        self.validation: Score | None = None
        self._sampled_train: Score | None = None
        self._steer: Score | None = None
        self._sample: Images | None = None
        drawn_by = seed if trial.order_seed is None else trial.order_seed
        if (trial.init_seed, trial.order_seed) != (None, None):
            # Dropout would otherwise go on from what the weights were drawn by.
            torch.manual_seed(derive(drawn_by, "training"))
        self._batches = Batches(splits.train, trial.batch_size, drawn_by, trial.augment, self._normalize)
        self._regularizers = {
            name: spec.build(self.model, derive(drawn_by, "regularizer", name))
            for name, spec in trial.regularizers.items()
        }
        self._optimizer = trial.optimizer.build(decay_groups(self.model, self._regularizers))
        recordable = trial.model.recordable and not trial.compile and records(self._device)
        self._recorded = RecordedStep(self._train, self._device) if recordable else None
        self._fit_optimizer_to_device()
        self._parameters = list(self.model.parameters())
        self._strengths: dict[str, float] = {}
        self._watched = named_parameters(self.model, trial.gradient_norms)
        self._gradient_norms: dict[str, Tensor] = {}
        self._best_accuracy = -math.inf
        self._epochs_since_best = 0
        self._best: Best | None = None
        self._plateau = PlateauState()
        self._peak_lr = trial.lr.peak
        self._prefix = Prefix(trial, seed, self._batches.per_epoch)
        self._lr = self._highest_lr = 0.0
        self._step = 0
        self._taken = 1
        self._loss = torch.zeros((), device=self._device)
        self._correct = torch.zeros((), device=self._device)
        self._seconds = 0.0
        self._resumed_at = time.perf_counter()

    @property
    def clock(self) -> Clock:
        return Clock(self._step, self._batches.per_epoch, self._trial.epochs, self._taken)

    @property
    def diverged(self) -> bool:
        """Whether the last epoch's loss, on train or validation, is not a number."""
        scores = (self.train, self.validation)
        return any(score is not None and not math.isfinite(score.loss) for score in scores)

    @property
    def complete(self) -> bool:
        return self._step >= self.clock.total_steps or self._stops_early

    @property
    def _stops_early(self) -> bool:
        stopping = self._trial.early_stopping
        return stopping is not None and self._epochs_since_best >= stopping.patience

    def step(self) -> None:
        """One optimizer step: schedule, policies, forward, backward, regularizers, update."""
        clock = self.clock
        if clock.step % clock.steps_per_epoch == 0:
            self._begin_epoch()
        self._lr = self._trial.lr(clock) * self._plateau.share
        self._highest_lr = max(self._highest_lr, self._lr)
        self._move_strengths(clock)
        accumulated = self._minibatches(clock)
        chosen = self._batches.choose(clock.step, accumulated)
        self._step += accumulated
        self._taken = accumulated
        if self._recorded is None:
            with self._watched_step():
                self._train(chosen, self._lr)
        else:
            self._recorded.step((accumulated, tuple(self._strengths.values())), chosen, self._lr)

    def _train(self, chosen: Chosen, lr: Rate) -> None:
        """What the device does in a step; on a GPU it may be recorded, so nothing here reads a tensor."""
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        decay(self._optimizer, self._strengths)
        batch = self._batches.made_of(chosen)
        inputs = batch.inputs.contiguous(memory_format=self._format)
        for name, regularizer in self._regularizers.items():
            if regularizer.on_inputs is not None:
                inputs = regularizer.on_inputs(inputs, self._strengths[name])
        for parameter in self._parameters:
            parameter.grad = None  # zero_grad does the same and takes twenty times as long
        with self._precision():
            logits = self._forward(inputs)
            loss = objective = functional.cross_entropy(logits, batch.labels)
            for name, regularizer in self._regularizers.items():
                if regularizer.on_loss is not None:
                    objective = regularizer.on_loss(objective, logits, self._strengths[name])
        objective.backward()  # type: ignore[no-untyped-call]
        # Asked for at the end of an epoch; but what is recorded once is what every step does.
        if self._recorded is not None or self.clock.at_epoch_end:
            self._gradient_norms = {name: gradient_norm(parameter) for name, parameter in self._watched.items()}
        # All gradients before any weight moves: the order in which regularizers are written changes nothing.
        for name, regularizer in self._regularizers.items():
            if regularizer.on_loss_gradients is not None:
                regularizer.on_loss_gradients(self._strengths[name])
        if self._trial.clip_norm is not None:
            nn.utils.clip_grad_norm_(self._parameters, self._trial.clip_norm)
        for name, regularizer in self._regularizers.items():
            if regularizer.on_gradients is not None:
                regularizer.on_gradients(self._strengths[name])
        for name, regularizer in self._regularizers.items():
            if regularizer.on_weights is not None:
                regularizer.on_weights(self._strengths[name], lr)
        afterwards = [
            regularizer.on_step(self._strengths[name], lr)
            for name, regularizer in self._regularizers.items()
            if regularizer.on_step is not None
        ]
        self._optimizer.step()
        for act in afterwards:
            act()
        # Summed on the device: reading a number here would make the host wait at every step.
        self._loss.add_(loss.detach(), alpha=len(chosen.images) // self._batches.batch_size)
        self._correct += (logits.detach().argmax(dim=1) == batch.labels).sum()

    def evaluate(self, *, looked_at: bool = False) -> Evaluation:
        """Measure the epoch that has just ended; policies see these scores from the next step on.

        `looked_at`: somebody outside of training looks at its score on validation.
        """
        clock = self.clock
        seen = clock.steps_per_epoch * self._batches.batch_size
        self.train = Score(self._loss.item() / clock.steps_per_epoch, self._correct.item() / seen)
        gradient_norms = {name: norm.item() for name, norm in self._gradient_norms.items()}
        trained = self._elapsed()
        self.validation = None
        if looked_at or self._scores_now or self._policies_look_at_validation():
            self.validation = self.score(self._splits.validation)
            self._note_improvement(self.validation)
        self._score_for_policies()
        test = self._score_test()
        seconds = self._elapsed()
        return Evaluation(
            epoch=clock.epoch,
            step=clock.step,
            train=self.train,
            validation=self.validation,
            lr=self._lr,
            strengths=dict(self._strengths),
            gradient_norms=gradient_norms,
            seconds=seconds,
            images_per_second=seen / trained,
            sampled_train=self._sampled_train,
            steer=self._steer,
            test=test,
            sparsity=self._sparsity(),
            scoring_seconds=seconds - trained,
        )

    def score(self, images: Images) -> Score:
        """Loss and accuracy of the net as it is now."""
        with self._precision():
            return score(self.model, images, self._normalize, self._format)

    def _sparsity(self) -> float | None:
        below = self._trial.sparsity_below
        return None if below is None else sparsity(parameters(self.model, "weights"), below).item()

    def _score_test(self) -> Score | None:
        images = self._splits.test if self._trial.test_curve else None
        return None if images is None or self.validation is None else self.score(images)

    @property
    def _scores_now(self) -> bool:
        """Whether validation is scored after the present epoch, whoever looks at it."""
        trial, clock = self._trial, self.clock
        answers = trial.plateau is not None or trial.early_stopping is not None
        return answers or clock.epoch % trial.score_every == 0 or clock.step >= clock.total_steps or self.diverged

    def _policies_look_at_validation(self) -> bool:
        return self._splits.steer is None and "validation" in self._read_in_coming_epoch()

    def _score_for_policies(self) -> None:
        """Measure at the end of an epoch what policies read in the coming one, and nothing that none of them reads."""
        self._sampled_train = self._steer = None
        read = self._read_in_coming_epoch()
        if "validation" in read and self._splits.steer is not None:
            self._steer = self.score(self._splits.steer)
        if "train" in read:
            if self._sample is None:
                self._sample = sample(self._splits, self._trial.data.split_seed)
            self._sampled_train = self.score(self._sample)

    def _read_in_coming_epoch(self) -> set[str]:
        """The splits of which policies read the scores before one of its steps."""
        now, read = self.clock, set[str]()
        moving = {n: spec for n, spec in self._trial.regularizers.items() if getattr(spec.policy, "moves", True)}
        end = now.step + now.steps_per_epoch if moving and not self.complete else now.step
        for step in range(now.step, end):
            clock = now if step == now.step else replace(now, step=step, taken=1)
            lr = self._trial.lr(clock) * self._plateau.share
            for name, spec in moving.items():
                seen = Noted(self._observation(spec, clock, lr))
                spec.policy(self._strengths[name], cast(Observation, seen))
                read |= seen.read
        return read

    def _precision(self) -> AbstractContextManager[Any]:
        """Mixed precision, where the trial asks for it: weights and updates stay in 32 bits."""
        wanted = self._trial.precision == "bfloat16"
        return torch.autocast(self._device.type, torch.bfloat16) if wanted else nullcontext()

    def _note_improvement(self, validation: Score) -> None:
        accuracy, stopping = validation.accuracy, self._trial.early_stopping
        if self._trial.plateau is not None:
            self._plateau = self._trial.plateau(self._plateau, validation)
        least = 0.0 if stopping is None else stopping.min_delta
        self._epochs_since_best += 1
        if accuracy > self._best_accuracy + least:
            self._best_accuracy, self._epochs_since_best = accuracy, 0
        keeps_best = stopping is not None and stopping.score == "best"
        if keeps_best and (self._best is None or accuracy > self._best.validation.accuracy):
            kept = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
            self._best = Best(validation, kept)

    def put_back_best(self) -> None:
        """Make the net, and its score on validation, those of the best epoch, where the trial is scored by that."""
        if self._best is not None:
            self.model.load_state_dict(self._best.model)
            self.validation = self._best.validation

    def _begin_epoch(self) -> None:
        self.model.train()
        self._loss.zero_()
        self._correct.zero_()
        self._seconds, self._resumed_at = 0.0, time.perf_counter()

    def _move_strengths(self, clock: Clock) -> None:
        for name, spec in self._trial.regularizers.items():
            observation = self._observation(spec, clock, self._lr)
            before = self._strengths.get(name)
            now = min(spec.policy(observation.base if before is None else before, observation), spec.ceiling)
            on_change = self._regularizers[name].on_change
            if on_change is not None and now != before:
                on_change(now)
            self._strengths[name] = now

    def _observation(self, spec: RegularizerSpec, clock: Clock, lr: float) -> Observation:
        base = spec.base(self._peak_lr, clock.total_steps)
        highest = max(self._highest_lr, lr)
        validation = self.validation if self._splits.steer is None else self._steer
        return Observation(clock, base, lr, highest, self._sampled_train, validation)

    def _minibatches(self, clock: Clock) -> int:
        """How many minibatches the coming step takes together: no more than the epoch has left."""
        left = clock.steps_per_epoch - clock.step % clock.steps_per_epoch
        asked = [
            regularizer.minibatches(self._strengths[name])
            for name, regularizer in self._regularizers.items()
            if regularizer.minibatches is not None
        ]
        return min(max(asked, default=1), left)

    def _fit_optimizer_to_device(self) -> None:
        """Make a step that can be recorded, where steps are; its state may come from a checkpoint of another device."""
        for group in self._optimizer.param_groups:
            if "capturable" in group:
                group["capturable"] = self._recorded is not None
        for state in self._optimizer.state.values():
            if "step" in state:
                state["step"] = state["step"].to(self._device)

    def _elapsed(self) -> float:
        """Seconds spent on the present epoch, those before an interruption included."""
        return self._seconds + time.perf_counter() - self._resumed_at

    def weights(self) -> bytes:
        """The net as it is now, with what it takes to use it: torch's format, of tensors, numbers and strings only."""
        shape = list(self._splits.train.inputs.shape[1:])
        state = {name: tensor.detach().cpu() for name, tensor in self.model.state_dict().items()}
        means = {"mean": self._splits.mean.cpu(), "std": self._splits.std.cpu()}
        buffer = io.BytesIO()
        torch.save({"model": state, "shape": shape, "classes": self._splits.classes, **means}, buffer)
        return buffer.getvalue()

    def checkpoint(self) -> bytes:
        """Everything that the rest of the trial depends on, at any step."""
        state = {
            "prefix": self._prefix.digest(self._step),
            "step": self._step,
            "taken": self._taken,
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "highest_lr": self._highest_lr,
            "strengths": self._strengths,
            "loss": self._loss,
            "correct": self._correct,
            "best_accuracy": self._best_accuracy,
            "epochs_since_best": self._epochs_since_best,
            "best": None if self._best is None else [numbers_of(self._best.validation), self._best.model],
            "plateau": list(astuple(self._plateau)),
            "seconds": self._elapsed(),
            "train": numbers_of(self.train),
            "validation": numbers_of(self.validation),
            "sampled_train": numbers_of(self._sampled_train),
            "steer": numbers_of(self._steer),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state(self._device) if self._device.type == "cuda" else None,
        }
        return packed(state)

    def restore(self, kept: bytes) -> None:
        """Continue from a checkpoint.

        Raises:
            CheckpointError: it is damaged, of another version or of another trial.
        """
        state = unpacked(kept)
        step = state["step"]
        # That of another trial will do as well, if the two are the same up to there.
        if state["prefix"] != self._prefix.digest(step):
            raise CheckpointError("the checkpoint belongs to another trial")
        self._step, self._taken = step, state["taken"]
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._fit_optimizer_to_device()
        self._loss.copy_(state["loss"])
        self._correct.copy_(state["correct"])
        self.train, self.validation = score_of(state["train"]), score_of(state["validation"])
        self._sampled_train, self._steer = score_of(state["sampled_train"]), score_of(state["steer"])
        self._best_accuracy, self._epochs_since_best = state["best_accuracy"], state["epochs_since_best"]
        self._best = None if state["best"] is None else Best(Score(*state["best"][0]), state["best"][1])
        self._plateau = PlateauState(*state["plateau"])
        self._highest_lr = state["highest_lr"]
        self._strengths = state["strengths"]
        for name, strength in self._strengths.items():
            on_change = self._regularizers[name].on_change
            if on_change is not None:
                on_change(strength)
        torch.set_rng_state(state["random"])
        if state["random_cuda"] is not None and self._device.type == "cuda":
            torch.cuda.set_rng_state(state["random_cuda"], self._device)
        self._seconds, self._resumed_at = state["seconds"], time.perf_counter()
        # The checkpoint may be that of a trial that goes on, or whose policies read nothing.
        if self.clock.at_epoch_end:
            if self.validation is None and (self._scores_now or self._policies_look_at_validation()):
                self.validation = self.score(self._splits.validation)
            if self._sampled_train is None and self._steer is None:
                self._score_for_policies()
