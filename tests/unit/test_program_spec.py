"""What a study file says of a program: what is allowed, and what is said of the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from hpo.cli import cli
from hpo.errors import StudyFileError
from hpo.search.space import merge
from hpo.study.file import parse
from hpo.trainers import trainer_of
from hpo.trainers.program.spec import ProgramSpec, filled
from hpo.trainers.program.values import Values

TRIAL: dict[str, Any] = {
    "program": "python train.py",
    "length": {"steps": 100},
    "metric": {"name": "loss"},
    "values": {
        "width": 64,
        "lr": {"kind": "constant", "peak": 0.1},
        "decay": {"strength": 0.01, "policy": {"kind": "ramp", "direction": "down", "factor": 4.0}},
    },
}


GAP = {"raise_above": 0.5, "lower_below": 0.0, "factor": 2.0}


def spec(**changes: Any) -> ProgramSpec:
    """The trial with `changes` laid over it."""
    return ProgramSpec.model_validate(merge(TRIAL, changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"program": ""}, "the command is empty"),
        ({"program": "python 'train.py"}, "No closing quotation; the command is split into words as a shell does"),
        ({"program": "python train.py --lr {lr}"}, "{lr} is for programs that don't call hpo.trial()"),
        ({"test": "python score.py"}, "scores test itself"),
        ({"length": {"steps": 10, "epochs": 2}}, "at most 1 item"),
        ({"length": {"steps": 0}}, "greater than or equal to 1"),
        ({"metrics": ({"name": "loss"},)}, "a name occurs twice in loss, loss"),
        ({"reports": {}}, "exactly one of `line`, `file` and `tensorboard`"),
        ({"reports": {"line": "("}}, "'(' is not a regular expression"),
        ({"reports": {"line": "loss (?P<loss>.+)"}}, "no group is called validation_loss"),
        ({"reports": {"line": "(?P<validation_loss>.+)"}}, "values.decay moves, which a program can't follow if"),
        ({"reports": {"file": "../x"}}, "should match pattern"),
        ({"reports": {"tensorboard": "../x", "tags": {"a": "b"}}}, "should match pattern"),
        ({"reports": {"tensorboard": "runs"}}, "`tensorboard` and `tags` go together"),
        ({"reports": {"file": "r.jsonl", "tags": {"a": "b"}}}, "`tensorboard` and `tags` go together"),
        ({"reports": {"tensorboard": "runs", "tags": {"loss": "b"}}}, "reports.tags: no tag is called validation_loss"),
        ({"reports": {"file": "r.jsonl"}, "program": "./train --lr {rl}"}, "there is no {rl}; known are width, lr"),
        ({"reports": {"file": "r.jsonl"}, "test": "./score {folder}"}, "there is no {folder}"),
        (
            {"values": {"decay": {"policy": {"kind": "gap", "of": "validation_x", "minus": "train_loss"} | GAP}}},
            "the policy looks at validation_x, which is not reported; there are train_loss, validation_loss",
        ),
        ({"resume": {"file": "x.pt"}}, "is saved and resumed by trial.loop(keep=…)"),
        ({"resume": {"file": "../x"}, "reports": {"file": "r.jsonl"}}, "should match pattern"),
        ({"resume": {"file": "x", "add": "--from {x}"}, "reports": {"file": "r.jsonl"}}, "there is no {x}"),
        (
            {"resume": {"file": "x"}, "values": {"decay": 1}, "reports": {"line": "(?P<validation_loss>.+)"}},
            "reports.line needs a group called at",
        ),
        ({"values": {"lr": {"kind": "cosin", "peak": 0.1}}}, "cosin"),
        ({"values": {"decay": {"strength": -1.0}}}, "greater than or equal to 0"),
    ],
)
def test_refused(changes: dict[str, Any], said: str) -> None:
    """With what was given and what is allowed."""
    with pytest.raises(ValidationError) as caught:
        spec(**changes)
    assert said in str(caught.value)


def test_what_a_trainer_says_of_it() -> None:
    """Its unit, length, metrics and objective."""
    trainer = trainer_of(TRIAL)
    assert ("step", 100) == (trainer.unit(TRIAL), trainer.length(TRIAL))
    assert "validation_loss" == trainer.objective(TRIAL)
    assert {"train_loss", "validation_loss", "test_loss"} == set(trainer.metrics(TRIAL))
    assert {"minimize"} == {metric.goal for metric in trainer.metrics(TRIAL).values()}


def test_what_is_missing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts and commands, with what is probably meant; not what the program writes or fills in. A check says so."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").touch()
    (tmp_path / "study.toml").write_text(
        'name = "s"\narms.a = {}\n[trial]\nprogram = "python trian.py --out {dir}/net.py"\n'
        'length = { r = 1 }\nmetric.name = "m"\n'
    )
    told = "trian.py: no such file here; paths start from the folder of the worker; did you mean 'train.py'?"
    checked = CliRunner().invoke(cli, ["check", "study.toml"])
    assert 0 == checked.exit_code, checked.output
    assert f"doubt: {told}" in " ".join(checked.output.split())
    assert checked.output.endswith("before you launch the study: hpo rehearse study.toml\n")
    missing = trainer_of(TRIAL).missing
    assert [] == [*missing([TRIAL])]
    assert ["nonesuch: no such command here"] == [*missing([TRIAL | {"program": "nonesuch --at=a.py train.py"}])]
    assert [told] == [*missing([TRIAL | {"code": ["trian.py"]}])]


def test_values_as_stated_and_as_they_move() -> None:
    """A schedule's peak, a strength before it moves; the last moment is the end of the trial."""
    values = Values(spec())
    assert {"width": 64, "lr": 0.1, "decay": 0.01} == values.stated()
    assert {"lr": 0.1, "decay": pytest.approx(0.04)} == values.at(0.0)
    assert {"lr": 0.1, "decay": pytest.approx(0.02)} == values.at(50.0)
    assert {"lr": 0.1, "decay": pytest.approx(0.01)} == values.at(100.0) == values.at(250.0)


def test_a_gap_of_metrics_of_the_programs_own() -> None:
    """What it reports besides the metric by which trials are judged, once it is named."""
    decay = {"strength": 1.0, "policy": {"kind": "gap", "of": "validation_bits", "minus": "train_bits"} | GAP}
    trial = TRIAL | {"metrics": [{"name": "bits"}], "values": {"decay": decay}}
    values = Values(ProgramSpec.model_validate(trial))
    values.measured({"train_bits": 1.0, "validation_bits": 2.0, "validation_loss": 0.1})
    values.turn(1)
    assert 2.0 == values.at(1.0)["decay"]


def test_feedback_answers_at_boundaries_alone() -> None:
    """Once at each, whatever moments are asked for, in whatever order and how often."""
    policy = {"kind": "loss_gap", "raise_above": 0.1, "lower_below": 0.0, "factor": 2.0}
    values = Values(spec(values={"decay": {"strength": 1.0, "policy": policy}}))
    values.turn(0)
    assert 1.0 == values.at(0.0)["decay"]
    for unit, expected in enumerate([2.0, 4.0, 8.0], start=1):
        assert expected / 2 == values.at(float(unit))["decay"]  # before the report of that unit
        values.measured({"train_loss": 1.0, "validation_loss": 2.0})
        values.turn(unit)
        moments = [unit, unit, unit + 0.5, 0.0, unit + 0.99999999]
        assert [expected] * 5 == [values.at(moment)["decay"] for moment in moments]


@pytest.mark.parametrize(
    "trial",
    [
        {"length": 3},
        {"length": {}},
        {"length": {"a": 1, "b": 2}},
        {"length": {"a": 2.5}},
        {"program": ["python"]},
        {"program": "python 'x"},
        {"code": "x.py"},
        {"values": "x"},
        {"values": {"lr": {"kind": "adam"}}},
        {"values": {"lr": {"kind": "linear", "peak": 0.1, "steps": 100}}},
        {"values": {"lr": {"kind": "exponential", "peak": 0.1, "factor": 0.9, "per": "step"}}},
        {"values": {"lr": {"kind": "warmup", "steps": 5, "of": {"kind": "constant", "peak": 0.1}}}},
        {"metric": "loss"},
        {"metric": {"goal": "minimize"}},
        {"metric": {"name": "a b"}},
        {"metric": {"name": "loss", "worst": float("nan")}},
        {"reports": {"line": "(?P<validation_loss>.+){99999999999}"}},
        {"reports": {"file": "..", "line": None}},
        {"grace": -1.0},
        {"nonsense": 1},
    ],
    ids=str,
)
def test_a_mistake_is_told_and_not_raised(trial: dict[str, Any]) -> None:
    """By the check of the whole file, whatever else depends on what is wrong."""
    with pytest.raises(StudyFileError):
        parse({"name": "s", "trial": TRIAL | trial, "arms": {"a": {}}})


def test_words_are_filled() -> None:
    """Numbers as JSON writes them, texts as they are; no word becomes two."""
    assert "--lr=0.001" == filled("--lr={lr}", {"lr": 0.001})
    assert "a b; rm {x}" == filled("{name}", {"name": "a b; rm {x}"})
    assert "[1, 2]" == filled("{sizes}", {"sizes": [1, 2]})
