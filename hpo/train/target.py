"""Functions of the user's own: `MODULE:FUNCTION` in a study file, imported only by workers that are allowed to.

A study file may come from elsewhere, so a worker imports nothing that its operator has not named in the environment
variable `HPO_CUSTOM_TARGETS`: modules or packages, separated by commas. Reading a study file imports nothing at all.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from hpo.errors import TargetError


def _importable(target: str) -> str:
    module, _, function = target.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), function)):
        raise ValueError(f"{target!r} is not MODULE:FUNCTION; write for example my_package.models:build")
    return target


Target = Annotated[str, Field(max_length=256), AfterValidator(_importable)]


def import_target(target: Target, what: str) -> Callable[..., Any]:
    """The function that `target` names; `what` it is for is said in errors.

    Raises:
        TargetError: this worker may not import it, or it is not there.
    """
    module, _, name = target.partition(":")
    _check_allowed(module)
    try:
        function: Callable[..., Any] = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise TargetError(
            f"the {what}'s target {target} can't be imported: {error}",
            hint="install its package where the worker runs, or name its folder in PYTHONPATH",
        ) from error
    return function


def _check_allowed(module: str) -> None:
    allowed = [entry.strip() for entry in os.environ.get("HPO_CUSTOM_TARGETS", "").split(",") if entry.strip()]
    if not any(module == entry or module.startswith(f"{entry}.") for entry in allowed):
        raise TargetError(
            f"this worker may not import {module}; it may import {', '.join(allowed) or 'nothing of a study'}",
            hint=f"if you trust that code, start the worker with HPO_CUSTOM_TARGETS={','.join([*allowed, module])}",
        )
