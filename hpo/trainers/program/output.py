"""What programs write, kept for people: a file for each trial in the folder that HPO_OUTPUT_DIR names."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

from hpo.trainers.program.process import OUTPUT

log = logging.getLogger(__name__)

VARIABLE = "HPO_OUTPUT_DIR"
MOST_KEPT = 64 << 20
"""Bytes of one attempt that are kept: its last."""


def keep_output(folder: Path, trial: str) -> None:
    """Add what was written in this attempt to the trial's file; that it can't be kept is said, and no more."""
    kept, written = os.environ.get(VARIABLE), folder / OUTPUT
    if not kept or not written.exists():
        return
    file = Path(kept).expanduser() / f"{trial}.log"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with written.open("rb") as source, file.open("ab") as target:
            source.seek(max(0, written.stat().st_size - MOST_KEPT))
            shutil.copyfileobj(source, target)
    except OSError as error:
        log.warning("the trial's output can't be written to %s: %s", file, error.strerror)
