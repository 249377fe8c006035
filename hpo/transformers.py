"""The Trainer of Hugging Face transformers as a trial: a callback between it and what `hpo.trial()` returns.

    trial = hpo.trial(length=3, lr=5e-5)
    follow = Follow(trial)
    arguments = TrainingArguments(output_dir=trial.dir / "run", num_train_epochs=trial.length, seed=trial.seed,
                                  learning_rate=trial["lr"])
    trainer = Trainer(model, arguments, train_dataset=…, eval_dataset=…, callbacks=[follow])
    trainer.train(resume_from_checkpoint=follow.checkpoint)
    trial.finish(test=lambda: trainer.evaluate(test_data, metric_key_prefix="test")["test_loss"])

A unit is an equal share of the training: an epoch where there are as many units as epochs. At its end the callback lets
the trainer evaluate and save, so `eval_strategy` and `save_strategy` stay as they are by default or are "no".
"""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from hpo.client import Trial

EXTRAS = "trial.pt"
"""The file in a checkpoint's folder that has what the trial keeps."""
TIMES = ("_runtime", "_per_second")
"""Ends of the names of what differs from run to run and says nothing of the model."""


class Follow(TrainerCallback):  # type: ignore[misc]
    """Lets the trainer follow a trial: its values, its reports, its checkpoints, its end."""

    def __init__(self, trial: Trial) -> None:
        """Follow `trial`.

        Raises:
            RuntimeError: several processes train it.
        """
        trial.needs_one_process("hpo.transformers.Follow")
        self._trial = trial
        self._metrics: dict[str, float] = {}
        """What was measured in this unit."""
        self._folder = Path()
        """The checkpoint that the trainer has written last."""
        kept = trial.begin(self._pack)
        self.checkpoint: str | None = None if kept is None else str(_unpacked(kept))
        """Where to go on, for `Trainer.train(resume_from_checkpoint=…)`; None at the beginning."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> None:
        """See that units end where steps do, and restore what the trial keeps."""
        if state.max_steps % self._trial.length:
            raise ValueError(
                f"{state.max_steps} optimizer steps can't be cut into {self._trial.length} equal units: let the "
                "study's length be the number of epochs, or one that divides max_steps"
            )
        if self.checkpoint is not None:
            self._trial.restore_extras(torch.load(Path(self.checkpoint) / EXTRAS, weights_only=True))

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        """Set what the study moves, over whatever a scheduler of the trainer's own has set."""
        self._trial.drive(more["optimizer"], at=state.global_step * self._trial.length / state.max_steps)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        """Let the trainer say its loss, evaluate and save where a unit ends."""
        if self._ends_a_unit(state):
            control.should_log = control.should_evaluate = control.should_save = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float] | None = None,
        **more: Any,
    ) -> None:
        """Note the loss on train."""
        if logs and "loss" in logs:
            self._metrics["train_loss"] = logs["loss"]

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Mapping[str, float] | None = None,
        **more: Any,
    ) -> None:
        """Note what was measured on validation."""
        self._metrics |= {
            f"validation_{name.removeprefix('eval_')}": float(value)
            for name, value in (metrics or {}).items()
            if name.startswith("eval_") and not name.endswith(TIMES)
        }

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        """Report the unit that has ended, with the checkpoint at hand; the process ends here if the trial does."""
        if not self._ends_a_unit(state) or not self._metrics:
            return
        metrics, self._metrics = self._metrics, {}
        self._folder = Path(str(args.output_dir)) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
        self._trial.report(**metrics)
        shutil.rmtree(self._folder)
        self._trial.turn()

    def _ends_a_unit(self, state: TrainerState) -> bool:
        return bool(state.global_step % (state.max_steps // self._trial.length) == 0)

    def _pack(self, path: Path) -> None:
        torch.save(self._trial.extras(), self._folder / EXTRAS)
        fresh = path.with_name(f"{path.name}.new")
        with tarfile.open(fresh, "w") as packed:
            packed.add(self._folder, arcname=".")
        fresh.replace(path)


def _unpacked(kept: Path) -> Path:
    folder = kept.with_name("resumed")
    with tarfile.open(kept) as packed:
        packed.extractall(folder, filter="data")
    return folder
