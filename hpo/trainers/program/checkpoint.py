"""The checkpoint of a program: what it keeps itself, and what the worker must know to go on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate, pairwise
from pathlib import PurePath

from hpo.errors import CheckpointError
from hpo.trainers.sealed import opened, sealed

VERSION = 2


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Taken after the report of a unit."""

    at: int
    """Units done."""
    strengths: Mapping[str, float]
    """The strengths that policies move, as they were asked for last."""
    metrics: Mapping[str, float]
    """What was reported last, which policies may look at."""
    marks: Sequence[float]
    """The numbers of its last two reports, of a program that numbers them."""
    program: str
    """A digest of what the program was given: a checkpoint of another trial is of no use."""


def packed(checkpoint: Checkpoint, files: Mapping[str, bytes]) -> bytes:
    """All in one: the checkpoint and the files of the program, by name."""
    sizes = {name: len(content) for name, content in files.items()}
    head = json.dumps({"version": VERSION, "files": sizes, **asdict(checkpoint)}).encode()
    return sealed(b"".join([head, b"\n", *files.values()]))


def unpacked(kept: bytes, program: str) -> tuple[Checkpoint, dict[str, bytes]]:
    """The checkpoint and the files again.

    Raises:
        CheckpointError: it is damaged, of another version or of another trial.
    """
    head, _, content = opened(kept).partition(b"\n")
    table = json.loads(head)
    if table.pop("version", None) != VERSION:
        raise CheckpointError("the checkpoint was written by another version of hpo, or by another trainer")
    sizes = table.pop("files")
    if any(name != PurePath(name).name for name in sizes):
        raise CheckpointError("the checkpoint has files outside the trial's folder")
    checkpoint = Checkpoint(**table)
    if checkpoint.program != program:
        raise CheckpointError("the checkpoint belongs to another trial")
    ends = [*accumulate(sizes.values(), initial=0)]
    return checkpoint, {name: content[begin:end] for name, (begin, end) in zip(sizes, pairwise(ends), strict=True)}
