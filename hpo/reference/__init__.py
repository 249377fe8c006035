"""The reference of a study file, written from the models that check it: every table, every kind, every field.

`python -m hpo.reference` prints it; docs/reference.md is what it printed last, and a test compares the two.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel, JsonValue, StringConstraints
from pydantic.fields import FieldInfo

from hpo.reference.examples import example
from hpo.search import Pruner, Sampler
from hpo.search.space import Searched
from hpo.study import Arm, Claim, Comparison, Equality, Extension, Pair, Published, Source, StudyFile
from hpo.study.protocol import Budget, Confirm, Protocol
from hpo.study.settings import Setting
from hpo.trainers.images.augment import Augment
from hpo.trainers.images.data import Data
from hpo.trainers.images.models import Initialization, Model
from hpo.trainers.images.optimizers import Optimizer
from hpo.trainers.images.plateau import Plateau
from hpo.trainers.images.regularizers import RegularizerSpec
from hpo.trainers.images.trial import EarlyStopping, TrialSpec
from hpo.trainers.moving.clock import Duration
from hpo.trainers.moving.policies import Policy
from hpo.trainers.moving.schedules import Schedule
from hpo.trainers.program.spec import MetricSpec, ProgramSpec, Reports, Resume, Strength
from hpo.words.explain import quoted

HEAD = """\
# Reference: the study file

Every table and every field. Written by `make reference` from the models that check a file, so change those and not
this page. The guide is [Study files](study-files.md).

Where several *kinds* of table are allowed, the field `kind` says which one it is, and the other fields belong to that
kind. A *name* begins with a letter, followed by letters, digits, `_` and `-`, at most 64 characters in all. A field
whose default is – may be left out.
"""

WORDS = {
    int: "whole number",
    float: "number",
    str: "text",
    bool: "`true` or `false`",
    dict: "table",
    list: "list",
    tuple: "list",
}
ANYTHING = (Any, JsonValue)


@dataclass(frozen=True, slots=True)
class Section:
    """One table of the file, or all the kinds that may stand in one place."""

    title: str
    one: str
    """What a field that holds it is said to hold."""
    form: Any
    """A model, or a union of models."""
    where: str
    """Where in the file it stands."""


SECTIONS = (
    Section("Study", "the study", StudyFile, "The top level of the file."),
    Section("Protocol", "the protocol", Protocol, "`[protocol]`"),
    Section("Budget", "a budget", Budget, "`budget = { epochs = 480 }`, of the protocol or of an arm."),
    Section("Confirm phase", "a confirm phase", Confirm, "`confirm = { top = 1, seeds = 5 }`, of the protocol."),
    Section("Arm", "an arm", Arm, "`[arms.NAME]`"),
    Section("Setting", "a setting", Setting, "`[settings.NAME]`"),
    Section("What is searched", "a range or values", Searched, '`search."lr.peak" = { … }`, of an arm.'),
    Section("Samplers", "a sampler", Sampler, "`sampler = { kind = … }`, of an arm."),
    Section("Pruners", "a pruner", Pruner, "`pruner = { kind = … }`, of the protocol or of an arm."),
    Section("Claim", "a claim", Claim, "`[[claims]]`"),
    Section("Comparison", "a comparison", Comparison, "`greater = { … }` or `less = { … }`, of a claim."),
    Section("Equality", "an equality", Equality, "`equal = { … }`, of a claim."),
    Section("Pair", "a pair", Pair, "`against = { … }`, of a comparison."),
    Section("Published number", "a published number", Published, "`[[published]]`"),
    Section("Source", "a source", Source, "`[source]`"),
    Section("Extension", "an extension", Extension, "`[[extensions]]`, as `hpo extend` writes it into a stored study."),
    Section("Trial", "a trial", TrialSpec, "`[trial]`, and in part `trial` of an arm."),
    Section("Program", "a program", ProgramSpec, "`[trial]` with `program`, in place of the fields above."),
    Section("Metric of a program", "a metric", MetricSpec, "`metric = { name = … }` and `metrics`, of a program."),
    Section("Reports of a program", "reports", Reports, "`reports = { … }`, of a program."),
    Section("How a program is resumed", "resume", Resume, "`resume = { … }`, of a program."),
    Section("Moving value", "a value that a policy moves", Strength, "`values.NAME = { strength = … }`, of a program."),
    Section("Data", "a data set", Data, "`data = { kind = … }`, of the trial."),
    Section("Augmentation", "augmentation", Augment, "`augment = { … }`, of the trial."),
    Section("Models", "a model", Model, "`model = { kind = … }`, of the trial."),
    Section(
        "Initializations",
        "an initialization",
        Initialization,
        "`init = { kind = … }`, of a model. m is the number of inputs that one output of a layer sums over, n the "
        "number of outputs that one input reaches.",
    ),
    Section("Optimizers", "an optimizer", Optimizer, "`optimizer = { kind = … }`, of the trial."),
    Section("Learning rates", "a learning rate", Schedule, "`lr = { kind = … }`, of the trial."),
    Section("Regularizers", "a regularizer", RegularizerSpec, "`regularizers.NAME = { kind = … }`, of the trial."),
    Section("Policies", "a policy", Policy, "`policy = { kind = … }`, of a regularizer."),
    Section("Early stopping", "early stopping", EarlyStopping, "`early_stopping = { … }`, of the trial."),
    Section("Plateau", "a plateau", Plateau, "`plateau = { … }`, of the trial."),
    Section("Duration", "a duration", Duration, "`every = { epochs = 1 }`"),
)


def markdown() -> str:
    """The reference as a Markdown page."""
    contents = "\n".join(f"- [{section.title}]({_anchor(section)})" for section in SECTIONS)
    return "\n".join([HEAD, contents, *(line for section in SECTIONS for line in _section(section))])


def members(form: Any) -> tuple[type[BaseModel], ...]:
    """The models that may stand where `form` is asked for; anything else that may, as it is."""
    if form is NoneType:
        return ()
    if get_origin(form) is Annotated:
        return members(get_args(form)[0])
    if get_origin(form) in (Union, UnionType):
        return tuple(model for part in get_args(form) for model in members(part))
    return (form,)


def kind_of(model: type[BaseModel]) -> str | None:
    """The `kind` by which a file names the model; None for a table that has none."""
    return model.model_fields["kind"].default if "kind" in model.model_fields else None


def _section(section: Section) -> Iterator[str]:
    yield from ("", f"## {section.title}", "", section.where)
    models = members(section.form)
    for model in models:
        if len(models) > 1:
            yield from ("", f"### {section.title}: `{kind_of(model) or model.__name__.lower()}`")
        yield from ("", inspect.cleandoc(model.__doc__ or ""), "")
        if len(models) > 1:
            yield from ("```toml", _placed(section, example(model, _toml)), "```", "")
        fields = {name: field for name, field in model.model_fields.items() if name != "kind"}
        if fields:
            yield from ("| field | what | default | meaning |", "| --- | --- | --- | --- |")
        else:
            yield "It has no fields besides `kind`."
        for name, field in fields.items():
            what = _words(field.annotation, field.metadata)
            yield f"| `{name}` | {what} | {_default(field)} | {' '.join((field.description or '').split())} |"


def _placed(section: Section, table: str) -> str:
    """An example where it stands in a file: `sampler = { kind = "tpe" }`."""
    [place] = re.findall(r"`([^`]+) = \{ …? ?(?:kind = … )?\}`", section.where)
    return f"{place} = {table}"


def _anchor(section: Section) -> str:
    return f"#{section.title.lower().replace(' ', '-')}"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return "–" if field.default is None else f"`{_toml(field.default)}`"


def _toml(value: Any) -> str:
    if isinstance(value, BaseModel):
        kind = kind_of(type(value))
        given = {} if kind is None else {"kind": kind}
        return _toml(given | value.model_dump(exclude_unset=True))
    if isinstance(value, dict):
        pairs = ", ".join(f"{quoted(key)} = {_toml(below)}" for key, below in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _words(annotation: Any, constraints: Sequence[Any] = ()) -> str:
    """A type with its constraints, as a reader of the file would say it."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner, *more = arguments
        return _words(inner, [*constraints, *_flat(more)])
    if origin is Literal:
        allowed = ", ".join(f"`{_toml(value)}`" for value in arguments)
        return f"one of {allowed}" if len(arguments) > 1 else allowed
    if _is_table(annotation):
        return _table(annotation)
    if origin in (Union, UnionType):
        parts = [part for part in arguments if part is not NoneType]
        if all(get_origin(part) is Literal for part in parts):
            return _words(Literal[tuple(value for part in parts for value in get_args(part))])
        return _limited(" or ".join(_words(part) for part in parts), constraints)
    if origin is tuple and arguments[-1] is not Ellipsis:
        return f"list of {len(arguments)}: {_words(arguments[0])}"
    if origin in (tuple, list) and arguments[0] not in ANYTHING:
        return _limited(f"list: {_words(arguments[0])}", constraints)
    if origin is dict and arguments[1] not in ANYTHING:
        return _limited(f"table, {_key(*arguments)} → {_words(arguments[1])}", constraints)
    if annotation in ANYTHING:
        return "any value"
    if annotation is str and any(isinstance(constraint, StringConstraints) for constraint in constraints):
        return "name"
    return _limited(WORDS[origin or annotation], constraints)


def _is_table(annotation: Any) -> bool:
    return all(inspect.isclass(part) and issubclass(part, BaseModel) for part in members(annotation))


def _table(annotation: Any) -> str:
    models = members(annotation)
    section = next(section for section in SECTIONS if set(models) <= set(members(section.form)))
    some = [f"`{kind_of(model)}`" for model in models] if len(models) < len(members(section.form)) else []
    return f"[{section.one}]({_anchor(section)})" + (f": {', '.join(some)}" if some else "")


def _key(key: Any, held: Any) -> str:
    if get_origin(key) is Annotated:
        return "name"
    return "label" if get_origin(held) is dict else "dotted path"


def _flat(constraints: Sequence[Any]) -> Iterator[Any]:
    for constraint in constraints:
        yield from constraint.metadata if isinstance(constraint, FieldInfo) else (constraint,)


def _limited(what: str, constraints: Sequence[Any]) -> str:
    """`what` with its bounds: of a number's value, of a text's characters, of a list's or table's entries."""
    value: list[Any] = [None, None]
    size: list[int | None] = [None, None]
    beyond = []
    for constraint in constraints:
        match constraint:
            case Ge(ge=bound):
                value[0] = bound
            case Le(le=bound):
                value[1] = bound
            case Gt(gt=int(bound)) if what == WORDS[int]:
                value[0] = bound + 1
            case Lt(lt=int(bound)) if what == WORDS[int]:
                value[1] = bound - 1
            case Gt(gt=bound):
                beyond.append(f"above {bound:g}")
            case Lt(lt=bound):
                beyond.append(f"below {bound:g}")
            case MinLen(min_length=bound):
                size[0] = bound
            case MaxLen(max_length=bound):
                size[1] = bound
    nouns = ("character", "characters") if what == WORDS[str] else ("entry", "entries")
    sizes = [f"{bounds} {nouns[not bounds.endswith(' 1')]}" for bounds in _bounds(*size)]
    return ", ".join([what, *_bounds(*value), *beyond, *sizes])


def _bounds(low: float | None, high: float | None) -> list[str]:
    if low is not None and high is not None:
        return [f"{_number(low)} to {_number(high)}"]
    return [f"at least {_number(low)}"] if low is not None else [f"at most {_number(high)}"] if high is not None else []


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"
