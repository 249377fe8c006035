"""The metrics that a trial on images reports of each of its splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from hpo.metric import SPLITS, Metric

ACCURACY = Metric(name="accuracy", goal="maximize", share=True, worst=0.0)
LOSS = Metric(name="loss", goal="minimize", unit="cross-entropy")


SPARSITY = Metric(name="train_sparsity", goal="maximize", share=True)
"""The share of weights that are as good as 0, of a trial that says how small that is (`sparsity_below`)."""


@cache
def metrics(worst_accuracy: float, sparsity: bool = False) -> Mapping[str, Metric]:
    """The metrics by their full names; a diverged trial counts with the accuracy (share, 0..1) given."""
    accuracy = replace(ACCURACY, worst=worst_accuracy)
    measured = [metric for split in SPLITS for metric in (accuracy.of(split), LOSS.of(split))]
    return {metric.name: metric for metric in [*measured, *([SPARSITY] if sparsity else [])]}


METRICS = metrics(0.0)
"""The metrics where nothing is known of the data."""
OBJECTIVE = ACCURACY.of("validation")
"""What trials are judged by unless the study says otherwise."""
