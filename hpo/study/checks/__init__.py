"""What can be known to be wrong with a study before anything runs."""

from __future__ import annotations

from hpo.study.checks.parts import mistakes

__all__ = ["mistakes"]
