"""Between what trains a trial and everything else: the values that a trainer reports, and nothing of how it trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What is known of a trial at one moment: after `at` units of its length, usually epochs."""

    at: int
    """Units done, from 1."""
    seconds: float
    """Wall time since the evaluation before, this one included."""
    metrics: Mapping[str, float]
    """All that was measured, by name: metrics of train and validation, and what moved (`lr`, `strength.l2`)."""
