"""What is wrong with an arm: with what it searches, and with the trials that it would make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hpo.errors import StudyFileError
from hpo.search.parameters import Parameter, point
from hpo.search.space import Label, Params, Range, label_key
from hpo.study import Arm, trial_at
from hpo.trainers import trainer_of
from hpo.words.explain import quoted, shown


def arm_mistakes(trial: Mapping[str, Any], name: str, arm: Arm) -> Iterator[str]:
    """A line for each mistake of the arm called `name`; some may be those of the study's `trial`."""
    where, trainer = f"arms.{name}.search", trainer_of(trial)
    for parameter, what in arm.parameters.items():
        at = f"{where}.{quoted(parameter)}"
        fixed = what.path.split(".")[0]
        if fixed in trainer.fixed:
            yield f"{at}: {fixed} can't be searched, since arms would no longer be comparable; {trainer.fixed[fixed]}"
        if not arm.sampler.proposes and isinstance(what.searched, Range):
            low, high = what.searched.low, what.searched.high
            yield f"{at}: a grid needs values, for example {{ values = [{low:g}, {high:g}] }}"
    if arm.sampler.proposes and not arm.search:
        yield f"{where}: the sampler {arm.sampler.kind!r} needs something to search; use a grid for one configuration"
    ranges = [what for what in arm.search.values() if isinstance(what, Range)]
    fewest = arm.sampler.fewest_ranges
    if fewest and len(ranges) < max(fewest, len(arm.search)):
        yield f"arms.{name}.sampler: {arm.sampler.kind} can only search ranges, {fewest} or more; use tpe"
    for part in trainer.shared:
        if part in arm.trial:
            yield f"arms.{name}.trial.{part}: arms must share the study's {part} to be comparable"
    yield from _Tried(trial, name, arm).mistakes()


def labels_with(arm: Arm, name: str, label: Label) -> Params:
    """`label` for one parameter of an arm, and what else it takes for that to exist."""
    parameter = arm.parameters[name]
    if parameter.choice is None:
        return {name: label}
    choices = arm.parameters[parameter.choice].searched.examples()
    return {parameter.choice: next(one for one in choices if label_key(one) == parameter.label), name: label}


def example(arm: Arm, labels: Params) -> Params:
    """The point of an arm that has these labels, and the first example of all else."""
    return point(arm.search, lambda name, searched: labels.get(name, searched.examples()[0]))


class _Tried:
    """Trials of an arm that were tried: every value and some of every range, one parameter at a time."""

    def __init__(self, trial: Mapping[str, Any], name: str, arm: Arm) -> None:
        self._trial = trial
        self._name = name
        self._arm = arm
        self._first = self._lines({})
        """Mistakes with the first value of everything."""
        self._told = set(self._first)

    def mistakes(self) -> Iterator[str]:
        """A line for each, with the value that makes it if not every trial has it."""
        later: list[str] = []
        causes: dict[str, str] = {}
        for name, parameter in self._arm.parameters.items():
            if parameter.path.split(".")[0] in trainer_of(self._trial).fixed:
                continue
            own, gone = self._at_the_examples(name, parameter)
            causes |= {line: name for line in gone if line not in causes}
            later += own or ([] if gone else self._between(name, parameter))
        for line in self._first:
            yield f"{line} ({self._with_first(causes[line])})" if line in causes else line
        yield from later

    def _at_the_examples(self, name: str, parameter: Parameter) -> tuple[list[str], set[str]]:
        """The mistakes that values of the parameter make, and which of the first ones some of them do not make."""
        own: list[str] = []
        gone: set[str] = set()
        for label in parameter.searched.examples():
            lines = self._lines(labels_with(self._arm, name, label))
            own += [f"{line} (with {quoted(name)} = {shown(label)})" for line in self._new(lines)]
            gone |= {line for line in self._first if line not in lines}
        return own, gone

    def _between(self, name: str, parameter: Parameter) -> list[str]:
        """The mistakes of the first value that makes any: an example, since its author didn't write it."""
        for label in parameter.searched.between():
            lines = self._new(self._lines(labels_with(self._arm, name, label)))
            if lines:
                return [f"{line} (for example at {quoted(name)} = {shown(label)})" for line in lines]
        return []

    def _with_first(self, name: str) -> str:
        label = self._arm.parameters[name].searched.examples()[0]
        return f"with {quoted(name)} = {shown(label)}"

    def _lines(self, chosen: Params) -> list[str]:
        """The mistakes at the point that has the `chosen` labels, and the first example of all else."""
        try:
            trial_at(self._trial, self._name, self._arm, example(self._arm, chosen))
        except StudyFileError as error:
            return str(error).splitlines()
        return []

    def _new(self, lines: list[str]) -> list[str]:
        new = [line for line in dict.fromkeys(lines) if line not in self._told]
        self._told.update(new)
        return new
