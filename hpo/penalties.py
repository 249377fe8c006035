"""Our penalties on a model of your own: what they do to gradients, by strengths that a study states and moves.

    penalties = Penalties(trial, net)
    ...
    loss.backward()
    penalties.add(at=epoch + i / len(batches))
    optimizer.step()

A value of the trial that bears the name of a kind of regularizer is its strength: `values.l1 = { strength = 1e-5 }`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from hpo.trainers.images.regularizers import L1, L2, LHalf, SparseGradient, Tikhonov

if TYPE_CHECKING:
    from torch import nn

    from hpo.client import Trial

KINDS = (SparseGradient, L2, L1, LHalf, Tikhonov)
"""Those that act between the backward pass and the step, in the order in which they do."""


class Penalties:
    """Those of a trial on a model; on what parameters they act is what `on` of their kind says by default."""

    def __init__(self, trial: Trial, model: nn.Module) -> None:
        """Find which of them the trial has.

        Raises:
            ValueError: it has none.
        """
        self._trial = trial
        kinds = {kind.model_fields["kind"].default: kind for kind in KINDS}
        self._kinds = {name: kind for name, kind in kinds.items() if name in trial}
        if not self._kinds:
            raise ValueError(f"the trial has no value with the name of a penalty: {', '.join(kinds)}")
        self._built = {name: kind(strength=trial[name]).build(model, trial.seed) for name, kind in self._kinds.items()}
        self._strengths: dict[str, float] = {}
        """Those of the step before."""

    def add(self, at: float) -> None:
        """Change the gradients that a backward pass has left, by the strengths after `at` units."""
        moved = self._trial.moved(at)
        for name, penalty in self._built.items():
            strength = min(moved[name], self._kinds[name].ceiling)
            if penalty.on_change is not None and self._strengths.get(name) != strength:
                penalty.on_change(strength)
            self._strengths[name] = strength
            if penalty.on_loss_gradients is not None:
                penalty.on_loss_gradients(strength)
            if penalty.decays is not None:
                with torch.no_grad():
                    for weight in penalty.decays:
                        if weight.grad is not None:
                            weight.grad.add_(weight, alpha=strength)
            if penalty.on_gradients is not None:
                penalty.on_gradients(strength)
