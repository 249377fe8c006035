"""What a worker and the program that it starts call the same."""

from __future__ import annotations

SOCKET, FOLDER = "HPO_SOCKET", "HPO_DIR"
"""The environment variables by which a script finds its worker."""
CHECKPOINT = "checkpoint"
"""The file in the trial's folder that holds what a script keeps; that of rank 3 is called `checkpoint-3`."""
