"""What special tests need of the machine: they are skipped where it is missing, and fail under CI=true."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

SYSTEM = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where daemons are, which is not on everybody's path."""


def require(*programs: str, packages: str, root: bool = True) -> None:
    """Skip the test unless these programs are there, of these Debian packages, and it runs as root if it must."""
    path = f"{os.environ['PATH']}:{SYSTEM}"
    if missing := [program for program in programs if shutil.which(program, path=path) is None]:
        lacking(f"{', '.join(missing)} not found: apt-get install {packages}")
    if root and os.geteuid() != 0:
        pytest.skip("needs root")


def lacking(reason: str) -> NoReturn:
    """This machine lacks something that a prepared one has."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def program(name: str) -> str:
    """The path of a program, daemons included."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:{SYSTEM}")
    assert found is not None, name
    return found


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that daemons which drop root's rights can get at, as they can't at pytest's own."""
    with tempfile.TemporaryDirectory(prefix="hpo-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)
