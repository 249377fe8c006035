"""Lightning training as a trial: a callback that stands between `Trainer.fit` and what `hpo.trial()` returns.

    trial = hpo.trial(length=20, lr=0.1)
    follow = Follow(trial)
    trainer = Trainer(max_epochs=trial.length, callbacks=[follow])
    trainer.fit(model, loader, validation_loader, ckpt_path=follow.checkpoint)
    trial.finish(test=lambda: trainer.test(model, test_loader)[0]["test_loss"])

An epoch is a unit. What the model logs is reported, with `val_` in front of a name as `validation_`, so `val_loss` is
the validation of the metric `loss`; a trial is saved as a checkpoint of Lightning's own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from hpo.client import Trial

VALIDATION = ("val_", "validation_", "valid_")
"""Beginnings of the names of what is measured on validation."""


class Follow(Checkpoint):  # type: ignore[misc]
    """Lets Lightning's trainer follow a trial: its values, its reports, its checkpoints, its end.

    It is a `Checkpoint` so that it comes last at the end of an epoch, when everything has been logged, and so that
    Lightning writes none of its own besides.
    """

    def __init__(self, trial: Trial) -> None:
        """Follow `trial`.

        Raises:
            RuntimeError: several processes train it.
        """
        trial.needs_one_process("hpo.lightning.Follow")
        self._trial = trial
        self._trainer: Trainer | None = None
        self.checkpoint: Path | None = trial.begin(self._save)
        """Where to go on, for `Trainer.fit(ckpt_path=…)`; None at the beginning."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Know the trainer, which saves."""
        self._trainer = trainer

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Set what the study moves."""
        moment = trainer.current_epoch + batch_idx / trainer.num_training_batches
        for optimizer in trainer.optimizers:
            self._trial.drive(optimizer, at=moment)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report what was logged of this epoch; the process ends here if the trial does."""
        self._trial.report(**{_name(name): float(value) for name, value in trainer.callback_metrics.items()})
        self._trial.turn()

    def state_dict(self) -> dict[str, Any]:
        """What Lightning's checkpoint holds of the trial."""
        return self._trial.extras()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there: generators too, since Lightning draws from them before the first epoch begins."""
        self._trial.restore_extras(state_dict)

    def _save(self, path: Path) -> None:
        assert self._trainer is not None
        self._trainer.save_checkpoint(path)


def _name(name: str) -> str:
    """What a study knows by the name under which it was logged."""
    for begin in VALIDATION:
        if name.startswith(begin):
            return f"validation_{name.removeprefix(begin)}"
    return name
