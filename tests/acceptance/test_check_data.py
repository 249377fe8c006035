"""`hpo check --data` looks at the images as a worker would, and says what they are or what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from hpo.cli import cli

QUICKSTART = str(Path(__file__).parents[2] / "studies/quickstart.toml")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder."""
    monkeypatch.setenv("HPO_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def check(data: str, *options: str) -> Result:
    """The command, on the first study with these data."""
    return CliRunner().invoke(cli, ["check", QUICKSTART, "--set", f"trial.data={data}", *options])


def lines(result: Result) -> list[list[str]]:
    assert result.exit_code == 0, result.output
    return [line.split() for line in result.stdout.splitlines()]


def test_what_the_images_are() -> None:
    """How many of which class are in each part, their shape and statistics."""
    found = lines(check('{ kind = "digits", validation = 0.2, train_limit = 300 }', "--data"))
    assert ["class", "training", "validation", "test"] in found
    assert ["0", "29", "29", "36"] in found
    assert ["all", "300", "288", "359"] in found
    said = " ".join(word for line in found for word in line)
    for part in ("1 channel of 8 x 8 pixels", "mean 0.306, standard deviation 0.376", "850 further training images"):
        assert part in said


def test_what_the_nets_cost() -> None:
    """Of the arms that differ, each; a searched size counts as the arm begins."""
    images = '{ kind = "digits", validation = 0.2, train_limit = 300 }'
    found = lines(check(images, "--data"))
    hidden = 64 * 64 + 64 * 10
    assert ["of", "every", "arm", f"{hidden + 74:,}", f"{hidden:,}"] in found
    found = lines(check(images, "--data", "--set", "arms.fixed.trial.model.hidden=[32]"))
    assert ["fixed", f"{64 * 32 + 32 * 10 + 42:,}", f"{64 * 32 + 32 * 10:,}"] in found
    assert ["grid,", "direction,", "feedback", f"{hidden + 74:,}", f"{hidden:,}"] in found


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU trains in bfloat16")
def test_what_this_machine_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Said, and no error: workers may run elsewhere."""
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    images = '{ kind = "digits", validation = 0.2, train_limit = 300 }'
    said = " ".join(check(images, "--data", "--set", 'trial.precision="bfloat16"').stdout.split())
    assert "no worker on this machine can train it:" in said
    assert "no worker here" not in check(images, "--data").stdout


def test_many_classes(folder: Path) -> None:
    """They are not listed one by one."""
    labels = np.append(np.arange(50).repeat(3), 0)
    images = np.zeros((len(labels), 4, 4), np.uint8)
    np.savez(folder / "set.npz", train_inputs=images, train_labels=labels, test_inputs=images, test_labels=labels)
    found = lines(check('{ kind = "npz", file = "set.npz", validation = 50 }', "--data"))
    assert ["each", "of", "50", "2", "to", "3", "1", "3", "to", "4"] in found
    assert len(found) < 50


def test_names_are_no_markup(folder: Path) -> None:
    """A class may be called as it likes."""
    labels, images = np.arange(6) % 2, np.zeros((6, 4, 4), np.uint8)
    arrays = {"train_inputs": images, "train_labels": labels, "test_inputs": images, "test_labels": labels}
    np.savez(folder / "set.npz", classes=np.array(["[bold]a[/]", "[/]"]), **arrays)
    found = lines(check('{ kind = "npz", file = "set.npz", validation = 2 }', "--data"))
    assert ["[bold]a[/]", "2", "1", "3"] in found


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ('{ kind = "cifar10" }', "CIFAR10 is not in"),
        ('{ kind = "npz", file = "missing.npz" }', "there is no file"),
        ('{ kind = "image_folder", folder = "missing" }', "can't list"),
        ('{ kind = "custom", target = "my_images:read" }', "this worker may not import my_images"),
    ],
)
def test_what_is_wrong_with_them(data: str, said: str) -> None:
    """Without --data it can't be known; with it there is one message and no plan, as from a worker."""
    assert lines(check(data))
    result = check(data, "--data")
    assert (2, "") == (result.exit_code, result.stdout)
    assert result.stderr.startswith(f"error: {said}")
    assert "Traceback" not in result.stderr


def test_one_class(folder: Path) -> None:
    """There is nothing to learn."""
    labels, images = np.zeros(6, int), np.zeros((6, 4, 4), np.uint8)
    np.savez(folder / "set.npz", train_inputs=images, train_labels=labels, test_inputs=images, test_labels=labels)
    result = check('{ kind = "npz", file = "set.npz" }', "--data")
    assert 2 == result.exit_code
    assert "error: all images belong to one class, '0'; classification needs at least two" in result.stderr


def test_what_is_known_without_them() -> None:
    """More held out than there are is found in the file alone."""
    result = check('{ kind = "digits", validation = 1500 }')
    assert 2 == result.exit_code
    assert "trial.data.validation: validation = 1500 holds out 1,500 of 1,438 training images" in result.stderr
