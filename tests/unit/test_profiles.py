"""Profiles of a study file: what they are laid over, what they replace, how the study is called, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from hpo.cli import cli
from hpo.errors import StudyFileError
from hpo.search.space import Range, Values
from hpo.service import find_study
from hpo.storage import open_storage
from hpo.study import StudySpec
from hpo.study.file import load

STUDY = """
name = "sample"

[trial]
epochs = 12
batch_size = 32
data = { kind = "digits", validation = 0.2, train_limit = 300 }
model = { kind = "mlp", hidden = [64] }
optimizer = { kind = "sgd" }
lr = { kind = "cosine", peak = 0.1, floor = 0.01 }

[arms.grid]
search."lr.peak" = { values = [0.1, 0.2, 0.3] }
search.model = { values = { wide = { hidden = [64] }, deep = { hidden = [8, 8] } } }

[arms.random]
sampler = { kind = "random" }
search."lr.peak" = { low = 0.01, high = 0.3, log = true }

[profiles.small]
trial.epochs = 2
trial.batch_size = 16
trial.lr = { kind = "constant", peak = 0.1 }
arms.grid.search."lr.peak" = { values = [0.05] }
arms.grid.search.model.values = { narrow = { hidden = [4] } }
arms.random.search."lr.peak".high = 0.2

[profiles.ranges]
protocol.budget.epochs = 24
arms.grid.sampler = { kind = "random" }
arms.grid.search."lr.peak" = { low = 0.1, high = 0.2 }
arms.random.search."lr.peak" = { values = [0.1] }
"""

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the study, with one piece of its text replaced."""

    def write_with(old: str = "", new: str = "") -> Path:
        assert old in STUDY
        path = tmp_path / "study.toml"
        path.write_text(STUDY.replace(old, new, 1) if old else STUDY)
        return path

    return write_with


def test_without_a_profile_the_file_is_as_written(write: Write) -> None:
    """And knows nothing of profiles."""
    study = load(write())
    assert ("sample", 12) == (study.name, study.arm("grid").length)
    assert "profiles" not in study.model_dump()


def test_a_profile_lies_over_the_file_and_settings_over_both(write: Write) -> None:
    """The file, then the profile, then --set; a table of another kind replaces the whole one."""
    study = load(write(), ["trial.epochs=3"], profile="small")
    assert 3 == study.arm("grid").length
    assert 16 == study.trial["batch_size"]
    assert {"kind": "constant", "peak": 0.1} == study.trial["lr"]
    assert {"kind": "digits", "validation": 0.2, "train_limit": 300} == study.trial["data"]


def test_what_an_arm_searches_is_replaced_if_given_as_a_whole(write: Write) -> None:
    """Values by other values, labels too, a range by values and the reverse; a part of a range is laid over it."""
    grid, random = (load(write(), profile="small").arms[arm].search for arm in ("grid", "random"))
    assert {"lr.peak": Values(values=(0.05,)), "model": Values(values={"narrow": {"hidden": [4]}})} == grid
    assert {"lr.peak": Range(low=0.01, high=0.2, log=True)} == random
    grid, random = (load(write(), profile="ranges").arms[arm].search for arm in ("grid", "random"))
    assert Range(low=0.1, high=0.2) == grid["lr.peak"]
    assert {"lr.peak": Values(values=(0.1,))} == random
    (replaced,) = load(write(), ['arms.random.search."lr.peak".values=[0.3]']).arms["random"].search.values()
    assert Values(values=(0.3,)) == replaced


@pytest.mark.parametrize(
    ("name", "settings", "called"),
    [(None, [], "sample-small"), ("mine", [], "mine"), (None, ["name=other"], "other"), ("mine", ["name=x"], "mine")],
)
def test_the_study_is_called_after_both(write: Write, name: str | None, settings: list[str], called: str) -> None:
    """So that a small and a large run of one file have room in one storage, unless the command line says otherwise."""
    assert called == load(write(), settings, name, "small").name


@pytest.mark.parametrize(
    ("old", "new", "profile", "said"),
    [
        ("", "", "smal", "there is no profile 'smal'; the profiles are small, ranges; did you mean 'small'?"),
        (STUDY[STUDY.index("[profiles.small]") :], "", "small", "no profile 'small'; this file has none"),
        ("trial.epochs = 2", 'trial.epochs = "2"', "small", "\nprofiles.small.trial.epochs: input should be"),
        ("values = [0.05]", "values = []", "small", '\nprofiles.small.arms.grid.search."lr.peak".values: needs'),
        ("trial.batch_size = 16", "trial.optimizer.kin = 1", "small", "\nprofiles.small.trial.optimizer: unknown key"),
        ("trial.batch_size = 16", "profiles = 1", "small", "with the profile 'small' this study file has mistakes"),
        ("trial.batch_size = 16", 'name = "x"', "small", "profiles.small.name: a profile can't name the study"),
        ("[profiles.ranges]", "[profiles]\nranges = 1\n[other]", None, "profiles.ranges: a table"),
        ("[profiles.ranges]", '[profiles."a b"]', None, "profiles"),
    ],
)
def test_mistakes(write: Write, old: str, new: str, profile: str | None, said: str) -> None:
    """Where the profile wrote what is wrong, the line leads there; both commands say the same and plan nothing."""
    path = write(old, new)
    with pytest.raises(StudyFileError) as caught:
        load(path, profile=profile)
    assert said in str(caught.value)
    flags = ["--profile", profile] if profile else []
    storage = f"sqlite:///{path.parent}/hpo.db"
    for command in (["check"], ["launch-study", "--workers", "0", "--storage", storage]):
        result = CliRunner().invoke(cli, [*command, str(path), *flags])
        assert (2, True) == (result.exit_code, said.strip() in result.output), result.output
    assert not (path.parent / "hpo.db").exists()


def test_what_is_stored_is_the_resolved_study(write: Write) -> None:
    """Both commands take a profile; launching the file with another one plans a study of its own beside the first."""
    path = str(write())
    checked = CliRunner().invoke(cli, ["check", path, "--profile", "small"])
    assert (0, True) == (checked.exit_code, "study sample-small" in checked.output)
    url = f"sqlite:///{Path(path).parent}/hpo.db"
    for flags in ([], ["--profile", "small"], ["--profile", "small"], ["--profile", "ranges", "--name", "third"]):
        launched = CliRunner().invoke(cli, ["launch-study", path, "--workers", "0", "--storage", url, *flags])
        assert 0 == launched.exit_code, launched.output
    storage = open_storage(url)
    stored: dict[str, StudySpec] = {}
    for name in ("sample", "sample-small", "third"):
        _, stored[name] = find_study(storage, name)
    storage.close()
    assert [12, 2, 12] == [study.arm("grid").length for study in stored.values()]
    assert load(Path(path), profile="small") == stored["sample-small"]
