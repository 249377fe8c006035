"""The metrics that a trial on images reports of each of its splits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpo.metric import SPLITS, Metric

ACCURACY = Metric(name="accuracy", goal="maximize", share=True, worst=0.0)
LOSS = Metric(name="loss", goal="minimize", unit="cross-entropy")
METRICS = {metric.name: metric for split in SPLITS for metric in (ACCURACY.of(split), LOSS.of(split))}
"""By their full names."""
OBJECTIVE = ACCURACY.of("validation")
"""What trials are judged by unless the study says otherwise."""


def objective_of(study: Mapping[str, Any]) -> Metric:
    """What a study is judged by, of which these are the tables as the storage keeps them."""
    return METRICS[study["protocol"].get("metric") or OBJECTIVE.name]
