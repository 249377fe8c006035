"""The trainer of programs, as the rest of the project sees it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import re
import shlex
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import RenderableType

from hpo.errors import TargetError, UserError
from hpo.metric import Metric
from hpo.process import gpus
from hpo.trainers.moving.policies import looks_at_validation
from hpo.trainers.program.allowed import allowing, check_allowed
from hpo.trainers.program.checkpoint import unpacked
from hpo.trainers.program.host import Host
from hpo.trainers.program.output import keep_output
from hpo.trainers.program.process import ProgramFailed
from hpo.trainers.program.spec import ProgramSpec, Strength
from hpo.trainers.program.watcher import Watcher
from hpo.trainers.trainer import Identity, Machine, Result, Source, Trial
from hpo.words.suggest import did_you_mean

LONGEST_PATH = 80
"""The most characters of the path of a trial's folder: the name of a socket in it has at most 107 bytes."""

SCRIPT = re.compile(r"[^-{}=][^{}=]*\.(py|sh|bash|R|r|jl|pl|rb|js|lua|m)")
"""A word of a command that is likely to be a script, and not a file that the program writes."""


@dataclass(frozen=True, slots=True)
class ProgramMachine:
    """The device that programs are told to use; whether it works is seen when they run."""

    device: str
    gpu: str = ""
    """What the driver calls the GPU; empty for the CPU."""
    model: str = ""
    """What the GPU is sold as; empty if that isn't known."""

    @property
    def description(self) -> str:
        return (self.model or f"GPU {self.gpu}") if self.gpu else f"CPU ({platform.machine()})"

    def environment(self) -> Mapping[str, str]:
        return {"device": self.description, **(gpus.environment(self.gpu) if self.gpu else {})}

    def examine(self) -> None:
        pass

    def recover(self) -> None:
        pass

    def is_to_blame(self, error: BaseException) -> bool:
        return self._ran_out_of_memory(error) and not gpus.has_room(self.gpu)

    def is_too_small(self, error: BaseException) -> bool:
        return self._ran_out_of_memory(error) and gpus.has_room(self.gpu)

    def _ran_out_of_memory(self, error: BaseException) -> bool:
        return self.gpu != "" and isinstance(error, ProgramFailed) and gpus.out_of_memory(str(error))


class ProgramTrainer:
    """Any command that trains: started for each trial, given its values, and told when to stop."""

    fixed = {
        "program": "make a separate arm for each value",
        "code": "make a separate study for each value",
        "length": "make a separate arm for each value",
        "metric": "make a separate study for each value",
        "metrics": "make a separate study for each value",
        "reports": "make a separate study for each value",
        "resume": "make a separate study for each value",
        "test": "make a separate study for each value",
        "silence": "give one value for all arms",
        "grace": "give one value for all arms",
    }
    shared = ("metric", "metrics")
    train_values = ""

    def spec(self) -> type[ProgramSpec]:
        return ProgramSpec

    def unit(self, trial: Mapping[str, Any]) -> str:
        [name] = dict(trial["length"])
        return str(name).removesuffix("s")

    def metrics(self, trial: Mapping[str, Any]) -> Mapping[str, Metric]:
        try:
            return ProgramSpec.model_validate(trial).reported
        except ValidationError:  # told elsewhere
            return {}

    def objective(self, trial: Mapping[str, Any]) -> str:
        metric = trial.get("metric")
        return f"validation_{metric.get('name')}" if isinstance(metric, Mapping) else ""

    def length(self, trial: Mapping[str, Any]) -> int:
        [length] = dict(trial["length"]).values()
        return int(length)

    def shortened(self, trial: Mapping[str, Any], units: int) -> Mapping[str, Any]:
        return {"length": {name: min(units, length) for name, length in trial["length"].items()}}

    def keeps_weights(self, trial: Mapping[str, Any]) -> bool:
        return trial.get("reports") is None or trial.get("resume") is not None

    def stops_early(self, trial: Mapping[str, Any]) -> bool:
        return False

    def scores_test_along(self, trial: Mapping[str, Any]) -> bool:
        return False

    def scored_every(self, trial: Mapping[str, Any]) -> int:
        return 1

    def drawn_by(self, source: Source, seed: int) -> Mapping[str, Any] | None:
        return None

    def steers_by_validation(self, trial: Mapping[str, Any]) -> bool:
        values = self.spec().model_validate(trial).values.values()
        return any(isinstance(value, Strength) and looks_at_validation(value.policy) for value in values)

    def amounts(self, trial: Mapping[str, Any], length: int) -> Mapping[str, int]:
        return {}

    def summary(self, trial: Mapping[str, Any]) -> str:
        return f"program: {trial['program']}"

    def look_at_data(self, configs: Mapping[str, Any]) -> RenderableType:
        raise UserError("a program brings its own data, which hpo does not see", hint="leave out --data")

    def missing(self, trials: Sequence[Mapping[str, Any]]) -> Iterator[str]:
        commands = [shlex.split(command) for trial in trials for command in _commands(trial)]
        for command in dict.fromkeys(first for first, *_ in commands):
            if shutil.which(command) is None:
                yield f"{command}: no such command here"
        scripts = [word for _, *words in commands for word in words if SCRIPT.fullmatch(word)]
        named = [name for trial in trials for name in trial.get("code", ())]
        for name in dict.fromkeys([*scripts, *named]):
            path = Path(name)
            if not path.exists():
                beside = [str(path.with_name(each.name)) for each in _listed(path.parent)]
                meant = did_you_mean(name, beside)
                yield f"{name}: no such file here; paths start from the folder of the worker{meant}"

    def limits(self, trial: Mapping[str, Any]) -> Iterator[str]:
        yield from ()

    def allows(self, trials: Sequence[Mapping[str, Any]]) -> Mapping[str, str]:
        return allowing(command for trial in trials for command in _commands(trial))

    def load(self) -> None:
        pass

    def machine(self, device: str) -> Machine:
        here = gpus.visible()
        name = ("cuda" if here.names else "cpu") if device == "auto" else device
        if name == "cpu":
            return ProgramMachine("cpu")
        found = re.fullmatch(r"cuda(?::(\d+))?", name)
        if found is None:
            raise UserError(f"--device {device!r}: allowed are auto, cpu, cuda, cuda:0, cuda:1, …")
        index = int(found[1] or 0)
        if index >= len(here.names):
            why = here.why_none or f"there are {len(here.names)} GPUs, counted from cuda:0"
            raise UserError(f"--device {device!r}: {why}", hint="--device cpu trains on the CPU")
        gpu = here.names[index]
        return ProgramMachine(name, gpu, gpus.model(gpu))

    def identity(self, config: ProgramSpec, trials: Sequence[Mapping[str, Any]], study: str) -> Identity:
        _check_allowed(config)
        return Identity(
            self.code(trials),
            what="the program's files on this machine",
            hint="copy them from a machine that works on the study, or start a new study for other code; a file that "
            "the program writes must not be named in its command",
        )

    def code(self, trials: Sequence[Mapping[str, Any]]) -> str:
        commands = sorted({command for trial in trials for command in _commands(trial)})
        found = hashlib.sha256(json.dumps(commands).encode())
        for name in sorted({name for trial in trials for name in _files(trial)}):
            try:
                content = Path(name).read_bytes()
            except OSError as error:
                raise TargetError(
                    f"{name}, on which the result depends, can't be read here: {error.strerror}",
                    hint="start the worker in the folder that the paths in `code` start from",
                ) from None
            found.update(json.dumps([name, len(content)]).encode() + content)
        return found.hexdigest()

    def prefixes(self, config: Any, study: str, device: str) -> Sequence[str]:
        return ()

    def packed(self, weights: bytes, trial: Mapping[str, Any], about: Mapping[str, Any]) -> bytes:
        """The program's own checkpoint after its last unit: its file, or a tar of those of its ranks."""
        _, files = unpacked(weights, _digest(ProgramSpec.model_validate(trial), about["seed"]))
        if len(files) == 1:
            return next(iter(files.values()))
        whole = io.BytesIO()
        with tarfile.open(fileobj=whole, mode="w") as archive:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        return whole.getvalue()

    def run(self, trial: Trial) -> Result:
        config: ProgramSpec = trial.config
        _check_allowed(config)
        command = shlex.split(config.program)
        digest = _digest(config, trial.seed)
        begin = None
        folder = _folder()
        try:
            if trial.checkpoint is not None:
                begin, files = unpacked(trial.checkpoint, digest)
                for name, content in files.items():
                    (folder / name).write_bytes(content)
            if config.reports is not None:
                return Watcher(trial, command, folder, begin, digest).run()
            return Host(trial, command, folder, begin, digest).run()
        finally:
            keep_output(folder, trial.name)
            shutil.rmtree(folder, ignore_errors=True)


def _files(trial: Mapping[str, Any]) -> list[str]:
    """The files that a trial names as its code, and those that its command itself names."""
    words = [word for command in _commands(trial) for word in shlex.split(command)[1:]]
    return [*trial.get("code", ()), *(word for word in words if os.path.isfile(word))]


def _listed(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_file()]
    except OSError:
        return []


def _check_allowed(config: ProgramSpec) -> None:
    """See that this worker may run all that the trial names."""
    for command in _commands(config.model_dump(include={"program", "test"})):
        check_allowed(shlex.split(command))


def _commands(trial: Mapping[str, Any]) -> list[str]:
    return [str(trial[name]) for name in ("program", "test") if trial.get(name) is not None]


def _digest(config: ProgramSpec, seed: int) -> str:
    return hashlib.sha256(json.dumps([config.model_dump(mode="json"), seed]).encode()).hexdigest()


def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="hpo-"))
    if len(str(folder)) > LONGEST_PATH:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="hpo-", dir="/tmp"))
    return folder


TRAINER = ProgramTrainer()
