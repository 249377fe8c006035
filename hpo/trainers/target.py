"""Functions of the user's own: `MODULE:FUNCTION` in a study file, imported only by workers that are allowed to.

A study file may come from elsewhere, so a worker imports nothing that its operator has not named in the environment
variable `HPO_CUSTOM_TARGETS`: modules or packages, separated by commas. What such a module has imported from elsewhere
is none of its own. Reading a study file imports nothing at all.

Python reads a module once. A worker whose modules were edited since would train a new study with the old code and say
nothing; `check_code` refuses that.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from inspect import isclass, isroutine
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, Field, JsonValue

from hpo.errors import HpoError, TargetError
from hpo.process.pulse import Interrupted
from hpo.spec import Name


def _importable(target: str) -> str:
    module, _, function = target.partition(":")
    named = all(part.isidentifier() for part in (*module.split("."), function))
    if not named or module.endswith(".py"):  # a file; there is hardly a module called `py`
        raise ValueError(f"{target!r} is not MODULE:FUNCTION; {_meant(module, function)}")
    return target


def _meant(module: str, function: str) -> str:
    """What someone who wrote a path, or no function, may have meant."""
    path = PurePosixPath(module)
    dotted = ".".join(path.with_suffix("").parts) if path.suffix == ".py" or "/" in module else module
    if all(part.isidentifier() for part in dotted.split(".")):
        if function.isidentifier():
            return f"write a module with dots and without .py: did you mean {dotted}:{function}?"
        if not function:
            return f"the function is missing: write {dotted}:FUNCTION"
    return "write, for example, my_package.models:build"


Target = Annotated[str, Field(max_length=256), AfterValidator(_importable)]

_Status = tuple[int, ...]
_imported: dict[Path, _Status] = {}
"""The files of the modules that were imported for targets, as they were then."""


def _finite(arguments: dict[str, JsonValue]) -> dict[str, JsonValue]:
    try:
        json.dumps(arguments, allow_nan=False)
    except ValueError:
        raise ValueError("numbers must be finite: the database can't store inf or nan") from None
    return arguments


Arguments = Annotated[dict[Name, JsonValue], AfterValidator(_finite)]
"""What a function is called with by name."""


def import_target(target: Target, what: str) -> Callable[..., Any]:
    """The function that `target` names; `what` it is for is said in errors.

    Raises:
        TargetError: this worker may not import it, or it is not there.
    """
    module, _, name = target.partition(":")
    if not _is_allowed(module):
        raise _not_allowed(module)
    before = set(sys.modules)
    try:
        function: Callable[..., Any] = getattr(import_module(module), name)
    except (HpoError, Interrupted):
        raise
    except Exception as error:  # a module may raise anything
        said = str(error) if isinstance(error, ImportError | AttributeError) else raised(error)
        raise TargetError(
            f"the {what}'s target {target} can't be imported: {said}",
            hint="install its package where the worker runs, or add its folder to PYTHONPATH",
        ) from error
    finally:
        _remember({module, *sys.modules} - (before - {module}))
    # A module of the operator's own may itself have imported what a stranger's study file must not call.
    if isroutine(function) or isclass(function):
        home = function.__module__ or ""
        if not _is_allowed(home):
            raise _not_allowed(home, f"{target} is defined in {home}: ")
    return function


def check_code() -> None:
    """Whether all that was imported for targets is still what the disk holds; to be asked before a new study.

    Raises:
        TargetError: a file has changed.
    """
    changed = [str(file) for file, status in _imported.items() if _status(file) != status]
    if changed:
        raise TargetError(f"{', '.join(changed)} changed after this worker read it", hint="start the worker again")


def raised(error: Exception) -> str:
    """What code of the user's raised, in a line, and where."""
    text = f"{type(error).__name__}: {error}"
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1] if frames else None
    return f"{text} (line {last.lineno} of {last.filename})" if last else text


def _remember(modules: set[str]) -> None:
    for name in modules:
        file = getattr(sys.modules.get(name), "__file__", None)
        if file is not None:
            _imported.setdefault(Path(file), _status(Path(file)))


def _status(file: Path) -> _Status:
    # Without st_ctime: package managers link installed files into other environments, which changes it.
    try:
        found = file.stat()
    except OSError:
        return ()
    return found.st_size, found.st_mtime_ns, found.st_ino


def _allowed() -> list[str]:
    return [entry.strip() for entry in os.environ.get("HPO_CUSTOM_TARGETS", "").split(",") if entry.strip()]


def _is_allowed(module: str) -> bool:
    return any(module == entry or module.startswith(f"{entry}.") for entry in _allowed())


def _not_allowed(module: str, why: str = "") -> TargetError:
    allowed = _allowed()
    return TargetError(
        f"{why}this worker may not import {module}; it may import {', '.join(allowed) or 'no modules for a study'}",
        hint=f"if you trust that code, start the worker with HPO_CUSTOM_TARGETS={','.join([*allowed, module])}",
    )
