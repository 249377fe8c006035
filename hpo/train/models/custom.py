"""A net of your own: a function of a Python module that the worker can import.

A study file may come from elsewhere, so a worker imports nothing that its operator has not named in the environment
variable `HPO_CUSTOM_TARGETS`: modules or packages, separated by commas. Reading a study file imports nothing at all.
"""

from __future__ import annotations

import os
from copy import deepcopy
from importlib import import_module
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue
from torch import nn

from hpo.errors import StudyFileError, TargetError
from hpo.spec import Name, Spec


def _importable(target: str) -> str:
    module, _, function = target.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), function)):
        raise ValueError(f"{target!r} is not MODULE:FUNCTION; write for example my_package.models:build")
    return target


def _not_the_loops(args: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if taken := sorted({"shape", "classes"} & set(args)):
        raise ValueError(f"{' and '.join(taken)} can't be given here: the images decide")
    return args


class Custom(Spec):
    """A net of your own, on workers whose `HPO_CUSTOM_TARGETS` names its module or a package that holds it."""

    kind: Literal["custom"] = "custom"

    target: Annotated[str, Field(max_length=256), AfterValidator(_importable)]
    """`MODULE:FUNCTION`, called as `FUNCTION(shape=(C, H, W), classes=K, **args)`; it returns a `torch.nn.Module`."""

    args: Annotated[dict[Name, JsonValue], AfterValidator(_not_the_loops)] = {}
    """Further arguments of the function."""

    def build(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        """What the target returns for images of `shape` (C, H, W); it may draw from torch's global generator alone.

        Raises:
            TargetError: this worker may not import the target, or it is not there.
            StudyFileError: it returns no module.
        """
        module, _, name = self.target.partition(":")
        _check_allowed(module)
        try:
            function = getattr(import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise TargetError(
                f"the model's target {self.target} can't be imported: {error}",
                hint="install its package where the worker runs, or name its folder in PYTHONPATH",
            ) from error
        net = function(shape=shape, classes=classes, **deepcopy(self.args))
        if not isinstance(net, nn.Module):
            raise StudyFileError(f"the model's target {self.target} must return a torch.nn.Module, not {net!r:.100}")
        return net


def _check_allowed(module: str) -> None:
    allowed = [entry.strip() for entry in os.environ.get("HPO_CUSTOM_TARGETS", "").split(",") if entry.strip()]
    if not any(module == entry or module.startswith(f"{entry}.") for entry in allowed):
        raise TargetError(
            f"this worker may not import {module}; it may import {', '.join(allowed) or 'no model of a study'}",
            hint=f"if you trust that code, start the worker with HPO_CUSTOM_TARGETS={','.join([*allowed, module])}",
        )
