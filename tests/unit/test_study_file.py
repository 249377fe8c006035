"""Study files: a good one is read whole, settings are laid over it, and every mistake is explained."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from hpo.errors import StudyFileError
from hpo.search import Grid, Median, NoPruner, Tpe
from hpo.search.space import Range, Values
from hpo.study import StudySpec
from hpo.study.file import LARGEST_FILE, differences, load
from hpo.trainers.moving.policies import AccuracyGap, Hold, Ramp
from hpo.words.explain import quoted, shown

STUDY = """
name = "adaptive-vs-grid"
title = "Does an adaptive L2 strength beat the best fixed one?"

[trial]
epochs = 12
batch_size = 128
data = { kind = "digits" }
model = { kind = "mlp", hidden = [200] }
optimizer = { kind = "sgd", momentum = 0.9 }
lr = { kind = "cosine", peak = 0.1 }
regularizers.l2 = { kind = "l2", strength = 1e-3, policy = { kind = "hold" } }

[protocol]
budget = { epochs = 480 }          # per arm
confirm = { top = 1, seeds = 5 }
pruner = { kind = "median", warmup = 3, every = 3 }

[arms.grid]
sampler = { kind = "grid" }
search."regularizers.l2.strength" = { values = [0.0, 1e-4, 1e-3, 1e-2] }
search."lr.peak" = { values = [0.03, 0.1, 0.3] }

[arms.direction]
sampler = { kind = "tpe" }
trial.regularizers.l2.policy = { kind = "ramp", factor = 10.0, direction = "down" }
search."regularizers.l2.strength" = { low = 1e-5, high = 1e-1, log = true }
search."regularizers.l2.policy.direction" = { values = ["up", "down"] }
search."lr.peak" = { low = 0.01, high = 0.5, log = true }

[arms.feedback]
sampler = { kind = "tpe" }
trial.regularizers.l2.policy = { kind = "accuracy_gap", raise_above = 0.05, lower_below = 0.01, factor = 1.5, every = { epochs = 1 } }
search."regularizers.l2.policy.factor" = { low = 1.1, high = 4.0, log = true }

[[claims]]
text = "feedback beats the best fixed strength"
greater = { arm = "feedback", than = "grid", metric = "test_accuracy" }
"""  # noqa: E501

Load = Callable[..., StudySpec]


@pytest.fixture
def study(tmp_path: Path) -> Load:
    """Loads the study, with one piece of its text replaced and settings laid over it."""

    def load_with(old: str = "", new: str = "", settings: Sequence[str] = (), name: str | None = None) -> StudySpec:
        assert old in STUDY
        path = tmp_path / "study.toml"
        path.write_text(STUDY.replace(old, new, 1) if old else STUDY)
        return load(path, settings, name)

    return load_with


def refused(load_study: Callable[[], object]) -> str:
    """The message and hint of the error, which is for people: no traceback, no library's name or address."""
    with pytest.raises(StudyFileError) as caught:
        load_study()
    text = f"{caught.value}\n{caught.value.hint}"
    assert not re.search(r"Traceback|pydantic|https?://|validation error|<class|ctx", text), text
    return text


# --- a good file


def test_loads(study: Load) -> None:
    """Every part is where the file puts it."""
    spec = study()
    assert ("adaptive-vs-grid", ["grid", "direction", "feedback"], "grid") == (
        spec.name,
        list(spec.arms),
        spec.baseline,
    )
    assert (Grid(), Tpe(), Tpe()) == tuple(arm.sampler for arm in spec.arms.values())
    assert Values(values=[0.03, 0.1, 0.3]) == spec.arms["grid"].search["lr.peak"]
    assert Range(low=0.01, high=0.5, log=True) == spec.arms["direction"].search["lr.peak"]
    assert [NoPruner(), Median(warmup=3, every=3)] == [spec.arm(arm).pruner for arm in ("grid", "direction")]
    assert 12 == spec.arm("direction").length


def test_a_mark_that_some_editors_put_first(tmp_path: Path) -> None:
    """A file in UTF-8 with a byte order mark reads as without it."""
    for name, begins in (("with", b"\xef\xbb\xbf"), ("without", b"")):
        (tmp_path / name).write_bytes(begins + STUDY.encode())
    assert load(tmp_path / "without") == load(tmp_path / "with")


def test_trials_of_its_arms(study: Load) -> None:
    """The arm's tables over the study's, the point over both."""
    spec = study()
    grid = spec.trial_of("grid", {"lr.peak": 0.3, "regularizers.l2.strength": 0.0})
    assert (0.3, 0.0, Hold()) == (
        grid.lr.peak,
        grid.regularizers["l2"].strength,
        grid.regularizers["l2"].policy,
    )
    up = spec.trial_of("direction", {"regularizers.l2.policy.direction": "up"})
    assert Ramp(direction="up", factor=10.0) == up.regularizers["l2"].policy
    feedback = spec.trial_of("feedback", {"regularizers.l2.policy.factor": 3.0})
    assert AccuracyGap(raise_above=0.05, lower_below=0.01, factor=3.0) == feedback.regularizers["l2"].policy


def test_survives_json(study: Load) -> None:
    """As the storage keeps it, to the last label."""
    spec = study()
    again = StudySpec.model_validate_json(spec.model_dump_json())
    assert spec == again
    assert spec.model_dump_json() == again.model_dump_json()


def test_nested_search_tables(study: Load) -> None:
    """`search.lr.peak` and `search."lr.peak"` are the same path."""
    nested = study('search."lr.peak" = { values', "search.lr.peak = { values")
    assert study() == nested


def test_lists_and_tables_are_searched(study: Load) -> None:
    """A whole schedule, or the sizes of hidden layers."""
    spec = study(
        'search."lr.peak" = { values = [0.03, 0.1, 0.3] }',
        'search.lr = { values = { flat = { kind = "constant", peak = 1 }, other = { kind = "cosine", peak = 1 } } }\n'
        "search.model.hidden = { values = [[10], [20, 20]] }",
    )
    trial = spec.trial_of("grid", {"lr": "flat", "model.hidden": "[20, 20]"})
    assert ("constant", (20, 20)) == (trial.lr.kind, trial.model.model_dump()["hidden"])


# --- settings


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("trial.epochs=5", lambda spec: spec.trial["epochs"] == 5),
        (" trial.epochs = 5 ", lambda spec: spec.trial["epochs"] == 5),
        ("title=quick", lambda spec: spec.title == "quick"),
        ('title="quick"', lambda spec: spec.title == "quick"),
        ("title=a few words", lambda spec: spec.title == "a few words"),
        ("title=a=b", lambda spec: spec.title == "a=b"),
        ("title=C:\\temp", lambda spec: spec.title == "C:\\temp"),
        ('title=say "so"', lambda spec: spec.title == 'say "so"'),
        ("title=", lambda spec: spec.title == ""),
        (
            "trial.model.hidden=[10, 20]",
            lambda spec: spec.trial["model"] == {"kind": "mlp", "hidden": [10, 20]},
        ),
        ('trial.model={kind="cnn"}', lambda spec: spec.trial["model"] == {"kind": "cnn"}),
        ("trial.model.kind=cnn", lambda spec: spec.trial["model"] == {"kind": "cnn"}),
        (
            "trial.optimizer={momentum=0.5}",
            lambda spec: spec.trial["optimizer"] == {"kind": "sgd", "momentum": 0.5},
        ),
        ("trial.lr.peak=1e-2", lambda spec: spec.trial["lr"]["peak"] == 0.01),
        (
            'arms.grid.search."lr.peak"={values=[1]}',
            lambda spec: spec.arms["grid"].search["lr.peak"].labels() == [1],
        ),
        (
            'arms.grid.search."lr.peak".values=[1]',
            lambda spec: spec.arms["grid"].search["lr.peak"].labels() == [1],
        ),
        (
            "protocol.confirm.seeds=2",
            lambda spec: (spec.protocol.confirm.top, spec.protocol.confirm.seeds) == (1, 2),
        ),
    ],
)
def test_set(setting: str, expected: Callable[[StudySpec], bool], study: Load) -> None:
    """Numbers, texts with and without quotes, tables, quoted paths."""
    assert expected(study(settings=[setting]))


def test_set_several_and_name(study: Load) -> None:
    """All of them count, and the name given beside them."""
    spec = study(settings=["trial.epochs=5", "trial.lr.peak=0.2"], name="other")
    assert (5, 0.2, "other") == (spec.trial["epochs"], spec.trial["lr"]["peak"], spec.name)


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        (["trial.epochs"], ["--set 'trial.epochs'", "PATH=VALUE"]),
        (["=5"], ["PATH=VALUE"]),
        (["  =5"], ["PATH=VALUE"]),
        ([""], ["PATH=VALUE"]),
        (["trial.epochs=5", "trial.epochs=6"], ["--set trial.epochs", "given twice"]),
        (["trial..epochs=5"], ["--set 'trial..epochs'", "not a path", "dotted keys"]),
        (["a b=5"], ["--set 'a b'", "not a path"]),
        (["[trial=5"], ["not a path"]),
        (["trial.epochs=many"], ["trial.epochs", "'many'"]),
        (["trial.epoch=5"], ["trial", "unknown key 'epoch'", "did you mean 'epochs'"]),
        (["arms.gird.sampler.kind=tpe"], ["arms.gird"]),
        (["trial=5"], ["trial", "not 5"]),
        (["trial.epochs=" + "9" * 5000], ["trial.epochs"]),
    ],
    ids=lambda value: str(value)[:40],
)
def test_set_refused(settings: list[str], parts: list[str], study: Load) -> None:
    """The setting is named, with how one is written."""
    text = refused(lambda: study(settings=settings))
    for part in parts:
        assert part in text


@pytest.mark.parametrize("name", ["", "a b", "1st", "a/b", "x" * 65, "ä"])
def test_name_refused(name: str, study: Load) -> None:
    """Letters, digits, _ and -."""
    assert "name: " in refused(lambda: study(name=name))


# --- mistakes: a piece of the file, what stands there instead, what the message says

MISTAKES = [
    ("title =", "titel =", ["titel", "unknown key 'titel'", "did you mean 'title'"]),
    (
        "batch_size = 128",
        "batchsize = 128",
        ["trial: ", "unknown key 'batchsize'", "did you mean 'batch_size'"],
    ),
    ("epochs = 12", "epochs = true", ["trial.epochs", "not True"]),
    ("epochs = 12", 'epochs = "12.0"', ["trial.epochs", "not '12.0'"]),
    ("batch_size = 128", "", ["trial.batch_size: missing"]),
    ("batch_size = 128", "batch_size = 0", ["trial.batch_size", "greater than or equal to 1", "not 0"]),
    ("batch_size = 128", 'batch_size = "big"', ["trial.batch_size", "integer", "not 'big'"]),
    ("batch_size = 128", "batch_size = 1.5", ["trial.batch_size", "integer", "not 1.5"]),
    ("peak = 0.1 }", "peak = -0.1 }", ["trial.lr.peak", "greater than 0", "not -0.1"]),
    ("peak = 0.1 }", "peak = nan }", ["trial.lr.peak", "finite", "not nan"]),
    (
        "peak = 0.1 }",
        "peek = 0.1 }",
        ["trial.lr: unknown key 'peek'", "did you mean 'peak'"],
    ),
    ('kind = "cosine"', 'kind = "cosinus"', ["trial.lr: unknown kind 'cosinus'", "allowed: constant, "]),
    ('kind = "cosine", ', "", ["trial.lr", "kind"]),
    ('{ kind = "cosine", peak = 0.1 }', "0.1", ["trial.lr", "a table", "not 0.1"]),
    ('{ kind = "hold" }', '{ kind = "holdd" }', ["trial.regularizers.l2.policy", "did you mean 'hold'"]),
    ("regularizers.l2 =", 'regularizers."l 2" =', ['trial.regularizers."l 2"']),
    (
        "budget = { epochs = 480 }",
        "budget = { epochs = 480, trials = 4 }",
        ["protocol.budget", "exactly one of"],
    ),
    ("budget = { epochs = 480 }", "budget = 480", ["protocol.budget", "not 480"]),
    ("seeds = 5", "seeds = 1001", ["protocol.confirm.seeds", "less than or equal to 1000", "not 1001"]),
    ('kind = "median"', 'kind = "mean"', ["protocol.pruner", "unknown kind 'mean'", "did you mean 'median'"]),
    ('kind = "tpe"', 'kind = "tpa"', ["arms.direction.sampler", "unknown kind 'tpa'", "did you mean 'tpe'"]),
    ("[0.03, 0.1, 0.3]", "[]", ['arms.grid.search."lr.peak".values', "at least 1 item"]),
    ("[0.03, 0.1, 0.3]", "[0.1, 0.1]", ['arms.grid.search."lr.peak"', "is listed twice"]),
    ("[0.03, 0.1, 0.3]", "0.1", ['arms.grid.search."lr.peak".values', "list", "not 0.1"]),
    ("[0.03, 0.1, 0.3]", "[0.1, -1]", ["arms.grid.trial.lr.peak", "greater than 0", "not -1"]),
    ("[0.03, 0.1, 0.3]", '["fast"]', ["arms.grid.trial.lr.peak", "number", "'fast'"]),
    ("[0.03, 0.1, 0.3]", "[2020-01-01]", ["lr.peak", "2020"]),
    ("{ values = [0.03, 0.1, 0.3] }", "[0.03, 0.1]", ['arms.grid.search."lr.peak"', "[0.03, 0.1]"]),
    (
        "{ values = [0.03, 0.1, 0.3] }",
        "{ low = 0.1, high = 1 }",
        ['arms.grid.search."lr.peak"', "a grid needs values"],
    ),
    (
        "low = 0.01, high = 0.5",
        "low = 0.5, high = 0.01",
        ['arms.direction.search."lr.peak"', "must be below high"],
    ),
    ("low = 0.01, high = 0.5", "low = 0.0, high = 0.5", ['arms.direction.search."lr.peak"', "low above 0"]),
    ("low = 0.01, high = 0.5", "low = 0.01", ['arms.direction.search."lr.peak".high: missing']),
    (
        '"lr.peak" = { low',
        '"lr.peek" = { low',
        ["arms.direction", "lr", "unknown key 'peek'", "did you mean 'peak'"],
    ),
    ('"lr.peak" = { low', '"lrr.peak" = { low', ["arms.direction", "unknown key 'lrr'", "did you mean 'lr'"]),
    ('"lr.peak" = { low', '"lr..peak" = { low', ["arms.direction"]),
    ('"lr.peak" = { low', '"" = { low', ["arms.direction"]),
    ('"lr.peak" = { low', '"epochs" = { low', ["arms.direction.search.epochs", "can't be searched"]),
    (
        '"lr.peak" = { low',
        '"data.validation" = { low',
        ['arms.direction.search."data.validation"', "can't be searched"],
    ),
    ('"lr.peak" = { low', '"batch_size" = { low', ["arms.direction.search.batch_size", "can't be searched"]),
    (
        "factor = 10.0, ",
        "factor = 1.0, ",
        ["arms.direction.trial.regularizers.l2.policy.factor", "greater than 1"],
    ),
    (
        'search."lr.peak" = { values',
        'search.lr.peak = { values = [1] }\nsearch."lr.peak" = { values',
        ["arms.grid", "'lr.peak' is given twice"],
    ),
    (
        '[arms.feedback]\nsampler = { kind = "tpe" }',
        '[arms.feedback]\nsampler = { kind = "cmaes" }',
        ["cmaes can only search ranges, 2"],
    ),
    (
        '[arms.direction]\nsampler = { kind = "tpe" }',
        '[arms.direction]\nsampler = { kind = "cmaes" }',
        ["arms.direction"],
    ),
    (
        "[arms.feedback]",
        '[arms.idle]\nsampler = { kind = "tpe" }\n[arms.feedback]',
        ["arms.idle.search", "'tpe'"],
    ),
    (
        "[arms.feedback]",
        '[arms.x.trial.data]\nkind = "digits"\n[arms.feedback]',
        ["arms.x.trial.data", "share"],
    ),
    ("[arms.feedback]", '[arms."a b"]\n[arms.feedback]', ['arms."a b"']),
    ('arm = "feedback"', 'arm = "feedbak"', ["claims.0.greater.arm", "'feedbak'", "did you mean 'feedback'"]),
    ('than = "grid"', 'than = "feedback"', ["claims.0.greater", "with itself"]),
    ('than = "grid"', 'than = "none"', ["claims.0.greater.than", "grid, direction, feedback"]),
    ('than = "grid"', 'than = "grid", at = 0.5', ["claims.0.greater.at: test_accuracy is scored only after the last"]),
    (
        'than = "grid"',
        'than = "grid", against = { arm = "gird", than = "grid" }',
        ["claims.0.greater.against.arm", "did you mean 'grid'?"],
    ),
    (
        'than = "grid"',
        'than = "grid", against = { arm = "feedback", than = "grid" }',
        ["claims.0.greater.against: the same pair"],
    ),
    (
        'metric = "test_accuracy"',
        'metric = "accuracy"',
        ["claims.0.greater.metric", "'test_accuracy'", "'accuracy'"],
    ),
    ("greater = {", "bigger = {", ["claims.0", "unknown key 'bigger'", "text, greater, less"]),
    (
        "confirm = { top = 1, seeds = 5 }",
        "",
        ["claims.0.greater.metric", "test_accuracy needs a confirm phase"],
    ),
    ("[protocol]", '[protocol]\nbaseline = "gird"', ["protocol.baseline", "'gird'", "did you mean 'grid'"]),
    ('name = "adaptive-vs-grid"', "", ["name: missing"]),
    ('name = "adaptive-vs-grid"', 'name = "a b"', ["name: ", "'a b'"]),
    ('name = "adaptive-vs-grid"', "name = 5", ["name: ", "string", "not 5"]),
    ("[trial]", "[trail]", ["unknown key 'trail'", "did you mean 'trial'"]),
    ("[[claims]]", "[claims]", ["claims"]),
    ("[arms.grid]", "[arms]\nother = 5\n[arms.grid]", ["arms.other", "not 5"]),
    ("epochs = 12", "epochs = " + "9" * 5000, ["study.toml"]),
]


@pytest.mark.parametrize(("old", "new", "parts"), MISTAKES, ids=[new[:40] or f"no {old}" for old, new, _ in MISTAKES])
def test_mistakes(old: str, new: str, parts: list[str], study: Load) -> None:
    """Each is named by its path in the file, with what was given and what is allowed."""
    text = refused(lambda: study(old, new))
    for part in parts:
        assert part in text


def test_every_mistake_is_a_line(study: Load) -> None:
    """The first line names the file, each further line one mistake."""
    text = refused(lambda: study("epochs = 12\nbatch_size = 128", "epochs = 0\nbatch_size = 0"))
    lines = text.strip().splitlines()
    assert lines[0].endswith("study.toml: this study file has mistakes")
    assert ["trial.epochs", "trial.batch_size"] == [line.split(":")[0] for line in lines[1:]]


def test_long_values_are_cut(study: Load) -> None:
    """A message stays readable whatever was given."""
    text = refused(lambda: study("batch_size = 128", f'batch_size = "{"x" * 5000}"'))
    assert len(text) < 500


# --- files that are no study at all


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"", ["name: missing", "trial: missing", "arms: missing"]),
        (b"name = ", ["not a TOML file"]),
        (b"name = 1\nname = 2", ["not a TOML file"]),
        (b"\xff\xfe\x00", ["not a TOML file"]),
        (b"x = " + b"[" * 100_000, ["not a TOML file"]),
        (b"x = " + b"[" * 30 + b"]" * 30, ["more than 20 deep"]),
        (b"x." * 3000 + b"x = 1", ["more than 20 deep"]),
        (b"# " + b"x" * LARGEST_FILE, [f"larger than {LARGEST_FILE} bytes"]),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_not_a_study(content: bytes, parts: list[str], tmp_path: Path) -> None:
    """Empty, not TOML, not text, too deep or too large."""
    path = tmp_path / "study.toml"
    path.write_bytes(content)
    text = refused(lambda: load(path))
    for part in parts:
        assert part in text
    assert "study.toml" in text


def test_no_such_file(tmp_path: Path) -> None:
    """Missing, or a folder."""
    assert "No such file" in refused(lambda: load(tmp_path / "none.toml"))
    assert "directory" in refused(lambda: load(tmp_path))


# --- words of the messages


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("lr", "lr"),
        ("a_b-c", "a_b-c"),
        ("lr.peak", '"lr.peak"'),
        ("a b", '"a b"'),
        ("", '""'),
        ("0", "0"),
        ('"', '"\\""'),
    ],
)
def test_quoted(key: str, expected: str) -> None:
    """As TOML writes a key."""
    assert expected == quoted(key)


def test_shown() -> None:
    """On one line and not too long."""
    assert ["'a\\nb'", 80] == [shown("a\nb"), len(shown("x" * 1000))]


def test_differences_inside_long_values() -> None:
    """Of a list of tables what differs in each, and of long texts the part that does."""
    stored = {"claims": [{"text": "a" * 90}, {"text": "b", "matters": 0.01}]}
    given = {"claims": [{"text": "a" * 90}, {"text": "b", "matters": 0.02}, {"text": "c"}]}
    assert ["claims.1.matters: 0.01 -> 0.02", "claims.2: None -> {'text': 'c'}"] == list(differences(stored, given))
    one, other = ({"program": 40 * "long " + end} for end in ("--a", "--b"))
    [line] = differences(one, other)
    assert "program: …ng long long long --a' -> …ng long long long --b'" == line


def test_differences(study: Load) -> None:
    """The path of each, what is stored and what is given."""
    stored = study().model_dump(mode="json")
    given = study(settings=["trial.epochs=5", 'arms.grid.search."lr.peak".values=[1]']).model_dump(mode="json")
    assert [
        "trial.epochs: 12 -> 5",
        'arms.grid.search."lr.peak".values: [0.03, 0.1, 0.3] -> [1]',
    ] == list(differences(stored, given))
    assert [] == list(differences(stored, stored))


def test_differences_of_what_only_one_has() -> None:
    """Added, removed, or of another type."""
    assert ["a: 1 -> None", "b.c: {} -> 2", "d: None -> 3"] == list(
        differences({"a": 1, "b": {"c": {}}}, {"b": {"c": 2}, "d": 3})
    )
