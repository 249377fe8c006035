"""A script's checkpoint as a file: tensors, numbers and texts only, so that reading one can't run code."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write(file: Path, content: Mapping[str, Any], *, is_first: bool) -> None:
    """Replace the file; the first time, while there is nothing to lose, see that it can be read.

    Raises:
        TypeError: something in it can't be kept.
    """
    fresh = file.with_name(f"{file.name}.new")
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.save(content, fresh)
    else:
        fresh.write_text(json.dumps(content))
    if is_first:
        _read_back(fresh, content)
    fresh.replace(file)


def read(file: Path) -> dict[str, Any]:
    """What was written."""
    with file.open("rb") as opened:
        is_json = opened.read(1) == b"{"
    if is_json:
        content: dict[str, Any] = json.loads(file.read_text())
        return content
    import torch

    content = torch.load(file, map_location="cpu", weights_only=True)
    return content


def _read_back(file: Path, content: Mapping[str, Any]) -> None:
    try:
        found = read(file)
    except Exception as error:
        raise TypeError(
            f"what is kept can't be read back; keep only tensors, numbers, texts, lists and dicts ({error})"
        ) from None
    for name, value in content["state"].items():
        if not isinstance(value, float) and not hasattr(value, "shape") and found["state"][name] != value:
            raise TypeError(f"trial.state[{name!r}] changes when it is saved and read back: {value!r:.200}")
