"""The metrics that a trial on images reports of each of its splits."""

from __future__ import annotations

from hpo.metric import SPLITS, Metric

ACCURACY = Metric(name="accuracy", goal="maximize", share=True, worst=0.0)
LOSS = Metric(name="loss", goal="minimize", unit="cross-entropy")
METRICS = {metric.name: metric for split in SPLITS for metric in (ACCURACY.of(split), LOSS.of(split))}
"""The metrics by their full names."""
OBJECTIVE = ACCURACY.of("validation")
"""What trials are judged by unless the study says otherwise."""
