"""What a study file says of a trial that is a program."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    JsonValue,
    NonNegativeFloat,
    PositiveFloat,
    TypeAdapter,
    model_validator,
)

from hpo.metric import SPLITS, Goal, Metric, MetricName
from hpo.spec import Name, Spec
from hpo.trainers.moving.policies import Hold, Policy, not_reported
from hpo.trainers.moving.schedules import Schedule
from hpo.words.suggest import did_you_mean


class MetricSpec(Spec):
    """A number that the program reports, of train, of validation and of test."""

    name: MetricName
    """Its name in reports, such as `loss`."""
    goal: Goal = "minimize"
    """Whether a higher or a lower value is better."""
    share: bool = False
    """Whether it is a share, 0..1, that is shown in percent."""
    worst: float | None = None
    """The value that a diverged trial counts with; if not given, such a trial ranks last and decides no claim."""

    def of_all_splits(self) -> dict[str, Metric]:
        """The metric of each split, by name: `validation_loss`."""
        metric = Metric(name=self.name, goal=self.goal, share=self.share, worst=self.worst)
        return {one.name: one for one in map(metric.of, SPLITS)}


class Strength(Spec):
    """A value that a policy moves, such as a weight decay."""

    strength: NonNegativeFloat
    """The value as stated; the policy multiplies or replaces it during the trial."""
    policy: Policy = Hold()
    """How it moves while the trial trains."""


def _one_of_its_kind(value: Any) -> Any:
    """A table with `kind` is a schedule, one with `strength` is moved by a policy; anything else is a value."""
    if isinstance(value, Mapping) and "kind" in value:
        return _SCHEDULE.validate_python(dict(value))
    if isinstance(value, Mapping) and "strength" in value:
        return Strength.model_validate(dict(value))
    return value


_SCHEDULE: TypeAdapter[Schedule] = TypeAdapter(Schedule)
Value = Annotated[Strength | Schedule | JsonValue, BeforeValidator(_one_of_its_kind)]
"""What the program is given under a name: a number, text, list or table; or one that moves."""


PLACE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_-]*)\}")
MARK = "at"
"""What the number is called by which reports are told apart."""
TRIALS_OWN = ("seed", "dir", "length")
"""What stands for something in any command."""
GIVEN = (*TRIALS_OWN, "at")
"""The same, in the command of a program that does not call `hpo.trial()`, besides the names of values."""


def filled(word: str, known: Mapping[str, Any]) -> str:
    """A word of a command with each `{name}` replaced by what it stands for."""

    def text_of(found: re.Match[str]) -> str:
        value = known[found[1]]
        return value if isinstance(value, str) else json.dumps(value)

    return PLACE.sub(text_of, word)


def stays(value: Spec) -> bool:
    """Whether a value that could move does not."""
    moved_by = value.policy if isinstance(value, Strength) else value
    return not getattr(moved_by, "moves", True)


def _counts_steps(value: Spec) -> bool:
    """Whether something in a moving value is counted in optimizer steps, which only the program knows."""
    if getattr(value, "steps", None) is not None or getattr(value, "counts_steps", False):
        return True
    fields = (getattr(value, name) for name in type(value).model_fields)
    return any(_counts_steps(below) for below in fields if isinstance(below, Spec))


def _words(command: str) -> str:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ValueError(f"{error}; the command is split into words as a shell does, and run without a shell") from None
    if not words:
        raise ValueError("the command is empty")
    return command


class Reports(Spec):
    """Where a program that does not call `hpo.trial()` reports, once per unit: exactly one of the three."""

    line: str | None = Field(default=None, max_length=1000)
    """A regular expression with named groups that finds a report in a line of the program's output, such as
    `val loss (?P<validation_loss>\\S+)`."""
    file: str | None = Field(default=None, max_length=255, pattern=r"^\w[\w-]*\.jsonl?$")
    """The name of a file in the trial's folder to which the program appends one line of JSON per report, such as
    `{"validation_loss": 0.31}`; the environment variable `HPO_REPORTS` holds its path."""
    tensorboard: str | None = Field(default=None, max_length=255, pattern=r"^\w[\w-]*$")
    """The name of a subfolder of the trial's folder, `{dir}/runs` for `runs`, to which the program writes TensorBoard
    event files: a step at which all of `tags` were written is a report. The worker needs the package tensorboard."""
    tags: dict[str, Annotated[str, Field(min_length=1)]] = Field(default={}, max_length=256)
    """The metrics in the event files, and the name of each there: `{ validation_loss = "val/loss" }`."""

    @property
    def named(self) -> tuple[str, ...] | None:
        """What a report consists of; None if only the program knows."""
        if self.tensorboard is not None:
            return tuple(self.tags)
        return None if self.line is None else tuple(re.compile(self.line).groupindex)

    @property
    def have_marks(self) -> bool:
        """Whether reports have a number by which they are told apart."""
        return self.line is None or MARK in (self.named or ())

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum(place is not None for place in (self.line, self.file, self.tensorboard)) != 1:
            raise ValueError("give exactly one of `line`, `file` and `tensorboard`")
        if (self.tensorboard is None) != (not self.tags):
            raise ValueError('`tensorboard` and `tags` go together, as in tags = { validation_loss = "val/loss" }')
        if self.line is not None:
            try:
                re.compile(self.line)
            except (re.error, OverflowError) as error:
                raise ValueError(f"line: {self.line!r} is not a regular expression: {error}") from None
        return self


class Resume(Spec):
    """How a program that does not call `hpo.trial()` continues where it was interrupted, from a file that it writes."""

    file: str = Field(max_length=255, pattern=r"^\w[\w.-]*$")
    """The name of the program's own checkpoint in the trial's folder `{dir}`."""
    add: Annotated[str, Field(max_length=4096), AfterValidator(_words)] | None = None
    """Words that are added to the command when it continues from the file, such as `--resume {dir}/model.pt`; without
    them the program has to look for the file itself."""


class ProgramSpec(Spec):
    """One trial: a program that trains, what it is given, what it reports, and how long it is."""

    program: Annotated[str, Field(max_length=4096), AfterValidator(_words)]
    """The command, such as `python train.py`: split into words as a shell would, and run without a shell."""
    code: tuple[Annotated[str, Field(min_length=1, max_length=1024)], ...] = Field(default=(), max_length=256)
    """Files that the result depends on; a worker on which they differ is refused."""
    length: dict[Name, Annotated[int, Field(ge=1, le=100_000_000)]] = Field(min_length=1, max_length=1)
    """How long a trial is, in a unit of your choice: `{ epochs = 20 }`. The program reports once per unit."""
    metric: MetricSpec
    """What trials are judged by, on validation."""
    metrics: tuple[MetricSpec, ...] = Field(default=(), max_length=32)
    """Further metrics that the program reports."""
    values: dict[Name, Value] = Field(default={}, max_length=256)
    """Values that the program is given, by name."""
    reports: Reports | None = None
    """How a program that can't be changed reports; if not given, the program calls `hpo.trial()`."""
    resume: Resume | None = None
    """How such a program continues where it was interrupted; if not given, the trial starts over. Its reports need a
    number called `at` that grows, such as the epoch or the step: it shows which reports the program repeats."""
    test: Annotated[str, Field(max_length=4096), AfterValidator(_words)] | None = None
    """A command that scores the finished trial of such a program on test, in the confirm phase: the last line of its
    output is a number, or JSON by name. `{dir}` is the trial's folder."""
    silence: PositiveFloat = 3600.0
    """Seconds without a sign of life from the program after which it counts as hung, and the trial as failed."""
    grace: PositiveFloat = 30.0
    """Seconds that the program has to reach the end of a unit when the trial is given back, before it is killed."""

    @model_validator(mode="after")
    def _each_metric_once(self) -> Self:
        names = [self.metric.name, *(metric.name for metric in self.metrics)]
        if len(set(names)) < len(names):
            raise ValueError(f"metrics: a name occurs twice in {', '.join(names)}")
        return self

    @model_validator(mode="after")
    def _known_places(self) -> Self:
        if self.reports is not None and (taken := sorted(set(GIVEN) & self.values.keys())):
            raise ValueError(f"values.{taken[0]}: this name is reserved; choose another name for the value")
        known = [*self.values, *GIVEN]
        added = self.resume.add if self.resume else None
        for command in (self.program, self.test or "", added or ""):
            for name in PLACE.findall(command):
                if name not in known:
                    raise ValueError(f"there is no {{{name}}}; known are {', '.join(known)}{did_you_mean(name, known)}")
        if self.reports is None and self.test is not None:
            raise ValueError("test: a program that calls hpo.trial() scores test itself, in trial.finish(test=…)")
        if self.reports is None and self.resume is not None:
            raise ValueError("resume: a program that calls hpo.trial() is saved and resumed by trial.loop(keep=…)")
        for name in PLACE.findall(self.program):
            if self.reports is None and name not in TRIALS_OWN:
                raise ValueError(
                    f"program: {{{name}}} is for programs that don't call hpo.trial() and have `reports`; a program "
                    f"that calls it gets its values there, and on its command line {{seed}}, {{dir}} and {{length}}"
                )
        return self

    @model_validator(mode="after")
    def _reports_the_metric(self) -> Self:
        wanted = f"validation_{self.metric.name}"
        if self.reports is not None and self.reports.named is not None:
            place, what = ("line", "group") if self.reports.line is not None else ("tags", "tag")
            if wanted not in self.reports.named:
                said = ", ".join(self.reports.named) or "none"
                raise ValueError(
                    f"reports.{place}: no {what} is called {wanted}, which trials are judged by; there are {said}"
                )
            if self.resume is not None and not self.reports.have_marks:
                raise ValueError(
                    f"resume: reports.line needs a group called {MARK}, the number of the epoch or of the step: it "
                    "shows which reports the program repeats"
                )
        return self

    @model_validator(mode="after")
    def _counts_units(self) -> Self:
        for name, value in self.values.items():
            if isinstance(value, Spec) and _counts_steps(value):
                raise ValueError(f"values.{name}: a program's steps are not known; count in units, as in `epochs = …`")
        return self

    @model_validator(mode="after")
    def _reports_what_policies_look_at(self) -> Self:
        for name, value in self.values.items():
            if isinstance(value, Strength) and (said := not_reported(value.policy, self.reported)):
                raise ValueError(f"values.{name}: {said}; name whatever else the program reports in `metrics`")
        return self

    @model_validator(mode="after")
    def _follows_what_moves(self) -> Self:
        if self.reports is not None and self.reports.file is None:
            moving = [name for name, value in self.values.items() if isinstance(value, Spec) and not stays(value)]
            if moving:
                raise ValueError(
                    f"values.{moving[0]} moves, which a program can't follow if its reports are read from its output: "
                    "let it call hpo.trial(), or use `reports = { file = … }` and read HPO_VALUES after each report"
                )
        return self

    @property
    def reported(self) -> dict[str, Metric]:
        """All metrics, by name and split."""
        found: dict[str, Metric] = {}
        for metric in (self.metric, *self.metrics):
            found |= metric.of_all_splits()
        return found

    @property
    def units(self) -> int:
        """The length, as a number."""
        return next(iter(self.length.values()))
