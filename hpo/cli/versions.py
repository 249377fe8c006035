"""The versions that a question about hpo is answered by."""

from __future__ import annotations

import platform
from importlib import metadata

from hpo import __version__
from hpo.storage.tables import SCHEMA_VERSION

BESIDE = ("torch", "optuna")
"""Distributions on which results depend; to import them only to ask would take seconds."""


def versions() -> str:
    """Everything on one line, for people and for programs."""
    beside = [f"{name} {_version(name)}" for name in BESIDE]
    known = ", ".join((f"Python {platform.python_version()}", *beside, f"tables of version {SCHEMA_VERSION}"))
    return f"hpo, version {__version__} ({known})"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
