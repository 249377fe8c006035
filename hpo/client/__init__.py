"""A trial as a training script sees it: what `hpo.trial()` returns, and how it talks to the worker.

It needs nothing but the standard library; torch and numpy are used where the script has imported them.
"""

from __future__ import annotations

from hpo.client.names import CHECKPOINT, FOLDER, SOCKET
from hpo.client.own_trial import Trial, trial

__all__ = ["CHECKPOINT", "FOLDER", "SOCKET", "Trial", "trial"]
