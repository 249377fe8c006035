"""Experiment trackers as mirrors: every curve of every trial, shown where people look already.

The storage stays the truth. A tracker is a class that begins a run and is told what was measured; `open_trackers` knows
their names. They are told in a thread of their own each, so that one which fails or hangs stops no trial.
"""

from __future__ import annotations

from hpo.worker.tracking.mirror import Mirror, Trackers, open_trackers
from hpo.worker.tracking.tracker import Run

__all__ = ["Mirror", "Run", "Trackers", "open_trackers"]
