"""What the database would refuse is refused before anything runs; what it takes, it takes."""

from __future__ import annotations

from typing import Any

import pytest

from hpo.errors import StudyFileError
from hpo.plan import changes
from hpo.service import begin_study
from hpo.storage import create_storage
from hpo.study import StudySpec
from hpo.study.checks.limits import LARGEST_INTEGER, LONGEST_PARAMETER
from hpo.study.file import parse
from hpo.study.protocol import CONFIRM_SEEDS
from tests.integration.helpers import work_here

TRIAL: dict[str, Any] = {
    "epochs": 1,
    "batch_size": 32,
    "data": {"kind": "digits", "train_limit": 32},
    "model": {"kind": "mlp", "hidden": [4]},
    "optimizer": {"kind": "sgd"},
    "lr": {"kind": "constant", "peak": 0.1},
}


def study(protocol: dict[str, Any], search: dict[str, Any] | None = None, **top: Any) -> StudySpec:
    """One arm, a grid."""
    arms = {"one": {"search": search or {}}}
    return parse({"name": "limits", "trial": TRIAL, "arms": arms, "protocol": protocol} | top)


def refused(*arguments: Any, **keywords: Any) -> str:
    with pytest.raises(StudyFileError) as caught:
        study(*arguments, **keywords)
    return str(caught.value)


@pytest.mark.parametrize(
    ("protocol", "above"),
    [
        ({}, 0),
        ({"repeats": 3}, 2),
        ({"confirm": {"seeds": 1}}, CONFIRM_SEEDS),
        ({"confirm": {"seeds": 5}}, CONFIRM_SEEDS + 4),
        ({"confirm": {"seeds": 5}, "repeats": 1000}, CONFIRM_SEEDS + 4),
    ],
)
def test_seeds(protocol: dict[str, Any], above: int) -> None:
    """The largest seed of any trial is one that a column holds; one more is refused, and so are larger ones."""
    most = LARGEST_INTEGER - above
    protocol |= {"seeding": "counted"}
    study(protocol | {"seed": most})
    for seed in (most + 1, 2**31, 2**63, 10**30):
        assert refused(protocol | {"seed": seed}).startswith(f"protocol.seed: at most {most} is allowed")


def test_the_largest_seed_is_run(storage_url: str) -> None:
    """Search and confirm phase, to the end, on either database."""
    storage = create_storage(storage_url)
    spec = study({"seed": LARGEST_INTEGER - CONFIRM_SEEDS, "seeding": "counted", "confirm": {"seeds": 1}})
    row = begin_study(storage, spec)
    work_here(storage)
    cells = storage.ledger.cells(row.id)
    assert [LARGEST_INTEGER - CONFIRM_SEEDS, LARGEST_INTEGER] == [cell.seed for cell in cells]
    assert {"done"} == {cell.state for cell in cells}
    assert () == changes(spec, cells).added
    storage.close()


def test_steps() -> None:
    """Every epoch is stored with the optimizer steps done so far."""
    data = {"kind": "npz", "file": "images.npz", "train_limit": 65_536}
    trial = TRIAL | {"data": data, "batch_size": 2, "epochs": 2**16 - 1}
    study({}, trial=trial)
    assert "arms.one.trial.epochs: 2,147,483,648 optimizer steps" in refused({}, trial=trial | {"epochs": 2**16})


def test_steps_of_known_images() -> None:
    """CIFAR-10 has 45,000 images besides those held out, a tenth."""
    trial = TRIAL | {"data": {"kind": "cifar10"}, "batch_size": 1}
    study({}, trial=trial | {"epochs": LARGEST_INTEGER // 45_000})
    assert "2,147,490,000 optimizer steps" in refused({}, trial=trial | {"epochs": LARGEST_INTEGER // 45_000 + 1})


def test_attempts() -> None:
    """A column counts them."""
    study({"attempts": LARGEST_INTEGER})
    assert "protocol.attempts: at most" in refused({"attempts": LARGEST_INTEGER + 1})


@pytest.mark.parametrize(
    ("top", "path"),
    [
        ({"title": "a\0b"}, "title: "),
        ({"title": "\udcff"}, "title: "),
        ({"trial": TRIAL | {"model": {"kind": "custom", "target": "a:b", "args": {"\ud800": 1}}}}, "trial.model."),
        ({"source": {"document": "x", "where": "\ud800"}}, "source.where: "),
        (
            {"trial": TRIAL | {"model": {"kind": "custom", "target": "a:b", "args": {"x": [{"y": "\0"}]}}}},
            "trial.model.",
        ),
    ],
)
def test_texts(top: dict[str, Any], path: str) -> None:
    """NUL and halves of characters, wherever a text may stand; the message can be printed."""
    line = refused({}, **top)
    assert line.startswith(path) and "can't be stored" in line
    line.encode()


def test_keys_and_labels() -> None:
    """Of what is searched, too."""
    assert "can't be stored" in refused({}, {"lr.peak": {"values": {"a\0": 0.1, "b": 0.2}}})
    custom = TRIAL | {"model": {"kind": "custom", "target": "a:b", "args": {"x": {}}}}
    assert "can't be stored" in refused({}, {"model.args.x.\0": {"values": [1]}}, trial=custom)


def test_long_names_of_parameters() -> None:
    """As long as Optuna's column, and one longer."""
    trial = TRIAL | {"model": {"kind": "custom", "target": "a:b", "args": {"x": {}}}}
    begin = "model.args.x."
    longest = begin + "y" * (LONGEST_PARAMETER - len(begin))
    study({}, {longest: {"values": [1]}}, trial=trial)
    assert "513 characters; at most 512" in refused({}, {longest + "y": {"values": [1]}}, trial=trial)


def test_whole_numbers_are_exact() -> None:
    """Optuna keeps a parameter's value as a floating-point number."""
    tpe: dict[str, Any] = {"sampler": {"kind": "tpe"}, "budget": {"trials": 1}}
    trial = TRIAL | {"data": TRIAL["data"], "model": {"kind": "custom", "target": "a:b"}}
    for high, allowed in ((2**53, True), (2**54, False)):
        arm = tpe | {"search": {"model.args.x": {"low": 1, "high": high, "integer": True}}}
        table = {"name": "limits", "trial": trial, "arms": {"one": arm}}
        if allowed:
            parse(table)
        else:
            with pytest.raises(StudyFileError, match="exact up to 9007199254740992"):
                parse(table)
