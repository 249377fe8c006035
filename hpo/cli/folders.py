"""Folders that a verb needs at its end are tried at its beginning, before hours of training."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hpo.errors import UserError

TRIED_BYTES = 4096


def try_folders(*folders: Path) -> None:
    """Make the folders, and write into each of them and into the folder for temporary files.

    Raises:
        UserError: one of them can't be made or written to.
    """
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _write_into(folder)
        except OSError as error:
            raise UserError(
                f"{folder}: {error.strerror}", hint="start where you may write, and where is room"
            ) from None
    try:
        _write_into(Path(tempfile.gettempdir()))
    except OSError as error:
        raise UserError(f"temporary files: {error.strerror}", hint="set TMPDIR to a folder that has room") from None


def _write_into(folder: Path) -> None:
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(TRIED_BYTES))
