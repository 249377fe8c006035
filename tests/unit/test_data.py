"""Data sets from real files, their identity, and the splits of them that a trial sees."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from hpo.errors import DataError, TargetError
from hpo.trainers.images.data import (
    Cifar10,
    Cifar100,
    Custom,
    Data,
    Dataset,
    Digits,
    ImageFolder,
    Images,
    Npz,
    Source,
    cache_dir,
    data_dir,
    npz,
    split,
)
from hpo.trainers.images.data.fingerprint import fingerprint
from hpo.trainers.images.data.folders import check_folders, locked
from hpo.trainers.images.data.splits import hold_out, statistics
from hpo.trainers.images.trainer import TRAINER

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test's own data and cache folders; the data folder is returned."""
    monkeypatch.setenv("HPO_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("HPO_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def pixels(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def made(counts: tuple[int, ...], classes: int | None = None) -> Dataset:
    """A data set with so many training images of each class; every image is another one."""
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    train = Images(torch.arange(len(labels) * 8).view(-1, 2, 2, 2).to(torch.uint8), labels)
    test = Images(torch.zeros(2, 2, 2, 2, dtype=torch.uint8), torch.tensor([0, 1]))
    return Dataset(train, test, tuple(f"c{i}" for i in range(classes or len(counts))), fingerprint(train, test))


# --- folders and paths


def test_folders_of_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment names them; without it, or empty, they are in the home folder."""
    monkeypatch.setenv("HPO_DATA_DIR", "~/images")
    monkeypatch.setenv("HPO_CACHE_DIR", "")
    assert (Path.home() / "images", Path.home() / ".cache/hpo/cache") == (data_dir(), cache_dir())


@pytest.mark.parametrize("variable", ["HPO_DATA_DIR", "HPO_CACHE_DIR"])
def test_no_home_folder(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in a home that isn't there is said with the variable to set."""
    monkeypatch.setenv(variable, "~no-such-user/x")
    with pytest.raises(DataError, match="there is no home folder for ~no-such-user/x") as raised:
        check_folders()
    assert f"set {variable} to a folder, or HOME" in raised.value.hint


def test_check_folders(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders that are there or not yet will do, and none is made; a file in the place of one won't."""
    check_folders()
    assert not cache_dir().exists()
    monkeypatch.setenv("HPO_CACHE_DIR", str(folders / "file"))
    (folders / "file").write_text("")
    with pytest.raises(DataError, match="file is not a folder") as raised:
        check_folders()
    assert "HPO_CACHE_DIR" in raised.value.hint


@pytest.mark.parametrize("path", ["/etc", "../x", "a/../../x", "..", "a\nb", "a\0b", "a\x1b[1m", "..\\x", ""])
def test_paths_stay_inside_the_data_folder(path: str) -> None:
    """A study file can't reach the node's other files."""
    for given in ({"kind": "npz", "file": path}, {"kind": "image_folder", "folder": path}):
        with pytest.raises(ValidationError):
            TypeAdapter(Data).validate_python(given)


def test_nothing_heavy_at_import() -> None:
    """Reading a study file doesn't load the libraries that read images."""
    code = "import sys, hpo.trainers.images.data; print({'sklearn', 'torchvision', 'PIL'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "set()\n" == ran.stdout


# --- common fields


@pytest.mark.parametrize("validation", [0, -1, 0.0, 1.0, -0.1, True, "5", float("nan")])
def test_validation_refused(validation: Any) -> None:
    """Validation is a whole number of images or a share."""
    with pytest.raises(ValidationError):
        Digits(validation=validation)


@pytest.mark.parametrize(
    ("source", "wrong", "named"),
    [
        (Digits, {"validation": 1500}, "holds out 1,500 of 1,438 training images; it must be 1 to 1,437"),
        (Digits, {"validation": 0.0001}, "holds out 0 of 1,438"),
        (Digits, {"validation": 1430}, "leaves 8 images to train on; at least 10 are needed"),
        (Digits, {"train_limit": 9}, "9 images are too few: at least 10 are needed"),
        (Cifar10, {"validation": 50_000}, "holds out 50,000 of 50,000"),
        (Cifar100, {"train_limit": 99}, "at least 100"),
        (partial(Npz, file="x.npz"), {"train_limit": 1}, "at least 2"),
    ],
)
def test_refused_without_the_files(source: Any, wrong: dict[str, Any], named: str) -> None:
    """What can't be, whatever the files hold, is known from the study file alone."""
    with pytest.raises(ValidationError, match=named):
        source(**wrong)


@pytest.mark.parametrize(
    ("source", "images"),
    [
        (Digits(validation=0.2), 1150),
        (Digits(validation=438, train_limit=2000), 1000),
        (Cifar100(validation=5000, train_limit=3000), 3000),
        (Npz(file="x.npz", train_limit=300), 300),
        (Npz(file="x.npz"), None),
    ],
)
def test_images_of_an_epoch(source: Source, images: int | None) -> None:
    """Known without the files, where the data set has a size of its own or there is a limit."""
    assert images == source.images_per_epoch


@pytest.mark.parametrize(
    ("data", "worst"),
    [
        ({"kind": "digits"}, 0.1),
        ({"kind": "cifar100"}, 0.01),
        ({"kind": "image_folder", "folder": "pets"}, 0.0),
        ({"kind": "image_folder", "folder": "pets", "classes": 4}, 0.25),
        ({"kind": "nothing"}, 0.0),
    ],
)
def test_what_a_diverged_trial_counts_as(data: dict[str, Any], worst: float) -> None:
    """Guessing, as far as it is known how many classes there are; a loss has no worst value."""
    metrics = TRAINER.metrics({"data": data})
    assert {"train_accuracy": worst, "validation_accuracy": worst, "test_accuracy": worst} == {
        name: metric.worst for name, metric in metrics.items() if metric.worst is not None
    }


@pytest.mark.parametrize("source", [Digits(validation=1), Digits(validation=0.5), Cifar10(download=True)])
def test_read_by_kind(source: Source) -> None:
    """A spec survives the way through JSON, and a whole number stays one."""
    adapter: TypeAdapter[Source] = TypeAdapter(Data)
    again = adapter.validate_json(source.model_dump_json())
    assert (source, type(source.validation)) == (again, type(again.validation))


# --- digits


def test_digits() -> None:
    """1,797 images in all; about a fifth of each class is the test set, the same each time."""
    digits = Digits().load()
    assert (1438, 359) == (len(digits.train), len(digits.test))
    assert (1438, 1, 8, 8) == digits.train.inputs.shape
    assert (torch.uint8, torch.int64) == (digits.train.inputs.dtype, digits.train.labels.dtype)
    assert {35, 36, 37} == set(digits.test.labels.bincount().tolist())
    assert [round(level * 255 / 16) for level in range(17)] == np.unique(digits.train.inputs).tolist()
    assert tuple("0123456789") == digits.classes
    assert digits.fingerprint == Digits(split_seed=1, validation=5).load().fingerprint


# --- cifar


def batch(path: Path, content: dict[str, Any]) -> list[str]:
    """Write one of CIFAR's files; its name and its checksum."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content))
    return [path.name, hashlib.md5(path.read_bytes()).hexdigest()]


def test_cifar_read_through_torchvision(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files in CIFAR-10's own format, made small, become channels-first tensors."""
    from torchvision.datasets import CIFAR10  # type: ignore[import-untyped]

    folder, names = folders / "cifar-10-batches-py", [f"c{i}" for i in range(10)]
    train, test = pixels(20, 3, 32, 32), pixels(10, 3, 32, 32, seed=1)
    entry = batch(folder / "data_batch_1", {"data": train.reshape(20, -1), "labels": [*range(10)] * 2})
    monkeypatch.setattr(CIFAR10, "train_list", [entry])
    entry = batch(folder / "test_batch", {"data": test.reshape(10, -1), "labels": [*range(10)]})
    monkeypatch.setattr(CIFAR10, "test_list", [entry])
    meta = batch(folder / "batches.meta", {"label_names": names})
    monkeypatch.setattr(CIFAR10, "meta", {"filename": meta[0], "key": "label_names", "md5": meta[1]})

    dataset = Cifar10().load()
    assert np.array_equal(train, dataset.train.inputs.numpy())
    assert np.array_equal(test, dataset.test.inputs.numpy())
    assert [*range(10)] * 2 == dataset.train.labels.tolist()
    assert tuple(names) == dataset.classes


@pytest.mark.parametrize(
    ("source", "name", "folder"),
    [(Cifar10(), "CIFAR10", "cifar-10-batches-py"), (Cifar100(), "CIFAR100", "cifar-100-python")],
)
def test_cifar_missing(source: Cifar10 | Cifar100, name: str, folder: str, folders: Path) -> None:
    """Without the files the error names where they belong and the ways out; nothing is fetched unasked."""
    with pytest.raises(DataError, match=name) as raised:
        source.load()
    assert str(folders / folder) in str(raised.value)
    assert "HPO_DATA_DIR" in raised.value.hint
    assert "download = true" in raised.value.hint
    assert [] == list(folders.iterdir())


# --- image folder


def save(path: Path, image: np.ndarray[Any, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


@pytest.fixture
def pets(folders: Path) -> Path:
    """A folder of colour images, 4 x 6 (H x W): 3 cats and 3 dogs to learn from, one each for the end."""
    for c, name in enumerate(("cat", "dog")):
        for i in range(3):
            save(folders / "pets/train" / name / f"{i}.png", pixels(4, 6, 3, seed=10 * c + i))
        save(folders / "pets/test" / name / "9.bmp", pixels(4, 6, 3, seed=100 + c))
    (folders / "pets/train/cat/notes.txt").write_text("not an image")
    (folders / "pets/train/cat/._0.png").write_text("not one either")
    (folders / "pets/train/.hidden").mkdir()
    return folders / "pets"


PETS = ImageFolder(folder="pets")


def only_cached() -> Path:
    (path,) = cache_dir().glob("*.npz")
    return path


def test_image_folder(pets: Path) -> None:
    """Classes and images come in the order of their names, as (N, 3, H, W)."""
    dataset = PETS.load()
    assert ("cat", "dog") == dataset.classes
    assert ([0, 0, 0, 1, 1, 1], [0, 1]) == (dataset.train.labels.tolist(), dataset.test.labels.tolist())
    assert ((6, 3, 4, 6), (2, 3, 4, 6)) == (dataset.train.inputs.shape, dataset.test.inputs.shape)
    assert np.array_equal(pixels(4, 6, 3, seed=11).transpose(2, 0, 1), dataset.train.inputs[4].numpy())
    assert np.array_equal(pixels(4, 6, 3, seed=101).transpose(2, 0, 1), dataset.test.inputs[1].numpy())


def test_all_grey_images_keep_one_channel(pets: Path) -> None:
    """One colour image among grey ones makes all RGB."""
    for index, file in enumerate(sorted(pets.rglob("[!.]*.[pb][nm][gp]"))):
        save(file, pixels(4, 6, seed=index))
    grey = PETS.load()
    assert ((6, 1, 4, 6), (2, 1, 4, 6)) == (grey.train.inputs.shape, grey.test.inputs.shape)
    save(pets / "test/dog/9.bmp", pixels(4, 6, 3))
    mixed = PETS.load()
    assert (6, 3, 4, 6) == mixed.train.inputs.shape
    assert torch.equal(grey.train.inputs.expand(-1, 3, -1, -1), mixed.train.inputs)


def decoded(caplog: pytest.LogCaptureFixture) -> int:
    """How often images were decoded up to now."""
    return caplog.messages.count("decoding 8 images")


def test_cache_spares_the_decoding(pets: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Files that have not changed aren't read again, whatever names their folder has."""
    caplog.set_level("INFO")
    first, again = PETS.load(), PETS.load()
    assert 1 == decoded(caplog)
    assert first.fingerprint == again.fingerprint
    assert (first.classes, again.train.labels.tolist()) == (again.classes, first.train.labels.tolist())
    (pets.parent / "link").symlink_to(pets)
    assert first.fingerprint == ImageFolder(folder="link").load().fingerprint
    assert 1 == decoded(caplog)


def test_changed_files_are_decoded_again(pets: Path) -> None:
    """A file that was written anew is another one, even with its old size and time; the former pixels are removed."""
    first, changed = PETS.load(), pets / "test/cat/9.bmp"
    before = changed.stat()
    save(changed, pixels(4, 6, 3, seed=77))
    os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (before.st_size, before.st_mtime_ns) == (changed.stat().st_size, changed.stat().st_mtime_ns)
    assert first.fingerprint != PETS.load().fingerprint
    assert only_cached().exists()


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped"])
def test_damaged_cache_is_made_again(pets: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever happened to the cache, the images are right, and the cache is whole afterwards."""
    caplog.set_level("INFO")
    first = PETS.load()
    whole = only_cached().read_bytes()
    middle = whole.index(first.train.inputs.numpy().tobytes()[:32]) + 8
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    only_cached().write_bytes({"empty": b"", "cut": whole[:-100], "flipped": flipped}[damage])
    assert first.fingerprint == PETS.load().fingerprint
    assert len(whole) == len(only_cached().read_bytes())
    caplog.clear()
    assert first.fingerprint == PETS.load().fingerprint
    assert 0 == decoded(caplog)


def test_the_cache_is_mapped(pets: Path) -> None:
    """Also by whoever has decoded the images: its pages are shared. Who writes to them writes to a copy."""
    for _ in range(2):
        dataset = PETS.load()
        assert str(only_cached()) in Path("/proc/self/maps").read_text()
        whole, before = only_cached().read_bytes(), dataset.train.inputs.clone()
        dataset.train.inputs.fill_(7)
        assert (whole, {7}) == (only_cached().read_bytes(), set(dataset.train.inputs.flatten().tolist()))
        assert torch.equal(before, PETS.load().train.inputs)
        del dataset


def test_mapped_or_read(folders: Path) -> None:
    """The same arrays; what is compressed can't be mapped."""
    np.savez(folders / "x.npz", **arrays(classes=np.array(["a", "bc", "d"])))
    read, mapped = npz.read(folders / "x.npz", None), npz.mapped(folders / "x.npz")
    assert (read.fingerprint, read.classes) == (mapped.fingerprint, mapped.classes)
    assert torch.equal(read.test.inputs, mapped.test.inputs)
    assert torch.equal(read.train.labels, mapped.train.labels)
    np.savez_compressed(folders / "x.npz", **arrays(classes=np.array(["a", "bc", "d"])))
    with pytest.raises(DataError, match=r"x\.npz can't be mapped: train_inputs\.npy is compressed"):
        npz.mapped(folders / "x.npz")


def test_several_processes_at_once(pets: Path) -> None:
    """Workers that start together decode once and all get the same images."""
    code = (
        "import logging; logging.basicConfig(level='INFO')\n"
        "from hpo.trainers.images.data import ImageFolder; import PIL.Image\n"
        "print('ready', flush=True); input(); print(ImageFolder(folder='pets').load().fingerprint)"
    )
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    started = [subprocess.Popen([sys.executable, "-c", code], text=True, **pipes) for _ in range(3)]
    assert ["ready\n"] * 3 == [process.stdout.readline() for process in started if process.stdout]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    ended = [process.communicate(timeout=120) for process in started]
    assert {PETS.load().fingerprint + "\n"} == {out for out, _ in ended}
    assert 1 == sum(err.count("decoding 8 images") for _, err in ended)


def test_lock_excludes_others(folders: Path) -> None:
    """While it is held nobody else gets it; afterwards it is free."""
    with locked(folders / "new/x.npz"):
        other = (folders / "new/x.npz.lock").open()
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_cache_that_cannot_be_written(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the folder and the variable that moves it."""
    monkeypatch.setenv("HPO_CACHE_DIR", str(pets / "train/cat/0.png"))
    with pytest.raises(DataError, match="can't write in") as raised:
        PETS.load()
    assert "HPO_CACHE_DIR" in raised.value.hint


def test_images_of_any_size(pets: Path) -> None:
    """With `size` the shorter side is resized to it, the longer one cut off at both ends; each size has its cache."""
    wide = np.full((4, 12, 3), 7, np.uint8)
    wide[:, :4], wide[:, -4:] = 255, 255
    save(pets / "train/cat/0.png", wide)
    save(pets / "train/cat/1.png", wide.transpose(1, 0, 2))
    with pytest.raises(DataError, match="all must have the same size") as raised:
        PETS.load()
    assert "`size = 32`" in raised.value.hint
    cut = ImageFolder(folder="pets", size=4).load()
    assert {7} == set(cut.train.inputs[:2].flatten().tolist())
    shrunk = ImageFolder(folder="pets", size=2).load()
    assert ((6, 3, 2, 2), (2, 3, 2, 2)) == (shrunk.train.inputs.shape, shrunk.test.inputs.shape)
    assert 2 == len(list(cache_dir().glob("*.npz")))


def test_transparency_is_dropped_and_said(pets: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Once for all images; what lies under it is used. Images that are opaque all over are not counted."""
    image = pixels(4, 6, 4)
    save(pets / "train/cat/0.png", image)
    save(pets / "train/cat/1.png", np.dstack([image[:, :, :3], np.full((4, 6), 255, np.uint8)]))
    dataset = PETS.load()
    assert np.array_equal(image[:, :, :3].transpose(2, 0, 1), dataset.train.inputs[0].numpy())
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert ["1 of 8 images are partly transparent; the transparency is dropped"] == warnings


def wrong_size(pets: Path) -> None:
    save(pets / "train/dog/1.png", pixels(5, 7, 3))
    save(pets / "train/dog/2.png", pixels(8, 8, 3))


@pytest.mark.parametrize(
    ("break_it", "named"),
    [
        (wrong_size, r"train/dog/1\.png is 7 x 5 pixels, .*train/cat/0\.png is 6 x 4"),
        (
            lambda pets: (pets / "train/dog/1.png").write_bytes(b"no image"),
            r"can't read the image .*dog/1\.png: the format must be one of PNG",
        ),
        (lambda pets: (pets / "train/dog/0.png").rename(pets / "train/cat.png"), None),
        (lambda pets: (pets / "test/dog/9.bmp").unlink(), r"test/dog holds no image"),
        (lambda pets: (pets / "test/dog").rename(pets / "test/fox"), "differ in the classes dog, fox"),
        (lambda pets: (pets / "test").rename(pets / "tests"), r"can't list .*pets/test:"),
        (lambda pets: (pets / "test/dog/x.png").symlink_to("nowhere"), r"there is no file .*x\.png"),
        (
            lambda pets: save(pets / "train/dog/1.png", pixels(4, 6).astype(np.uint16) * 257),
            "more than 8 bits",
        ),
    ],
)
def test_image_folder_errors(pets: Path, break_it: Any, named: str | None) -> None:
    """What is wrong is said with the file's name; stray files beside the classes don't matter."""
    break_it(pets)
    if named is None:
        assert 5 == len(PETS.load().train)
        return
    with pytest.raises(DataError, match=named):
        PETS.load()
    assert [] == list(cache_dir().glob("*.npz"))


def test_another_number_of_classes(pets: Path) -> None:
    """What the file says of the classes is compared with what there is."""
    told = PETS.model_copy(update={"classes": 3})
    with pytest.raises(DataError, match="the images have 2 classes, not 3"):
        split(told.load(), told, with_test=True, device=torch.device("cpu"))


# --- npz


def arrays(**other: Any) -> dict[str, Any]:
    """The arrays of a sound file, but for those given; None leaves one out."""
    sound = {
        "train_inputs": pixels(6, 3, 4, 4),
        "train_labels": np.array([0, 1, 2, 0, 1, 2]),
        "test_inputs": pixels(3, 3, 4, 4, seed=1),
        "test_labels": np.array([2, 1, 0], np.uint8),
    }
    return {name: array for name, array in {**sound, **other}.items() if array is not None}


def test_npz(folders: Path) -> None:
    """The arrays come as they are, with the classes' numbers as names."""
    np.savez(folders / "x.npz", **arrays())
    dataset = Npz(file="x.npz").load()
    assert np.array_equal(pixels(6, 3, 4, 4), dataset.train.inputs.numpy())
    assert ([2, 1, 0], torch.int64) == (dataset.test.labels.tolist(), dataset.test.labels.dtype)
    assert ("0", "1", "2") == dataset.classes


def test_npz_grey_with_names(folders: Path) -> None:
    """(N, H, W) is grey, compression is allowed, and names may be given."""
    content = arrays(train_inputs=pixels(6, 4, 4), test_inputs=pixels(3, 4, 4), classes=np.array(["a", "b", "c"]))
    np.savez_compressed(folders / "x.npz", **content)
    dataset = Npz(file="x.npz").load()
    assert ((6, 1, 4, 4), (3, 1, 4, 4)) == (dataset.train.inputs.shape, dataset.test.inputs.shape)
    assert ("a", "b", "c") == dataset.classes


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"test_labels": None}, "lacks test_labels"),
        ({"train_inputs": pixels(6, 3, 4, 4).astype(np.float32)}, "train_inputs is float32"),
        ({"train_inputs": pixels(6, 4)}, r"train_inputs is uint8 \(6, 4\)"),
        ({"test_inputs": pixels(0, 3, 4, 4)}, r"test_inputs is uint8 \(0, 3, 4, 4\)"),
        ({"test_inputs": pixels(3, 3, 4, 5)}, r"shapes \(3, 4, 4\) and \(3, 4, 5\)"),
        ({"train_labels": np.arange(5)}, r"train_labels is int64 \(5,\)"),
        ({"train_labels": np.zeros(6)}, "train_labels is float64"),
        ({"train_labels": np.array([0, 1, 5] * 2)}, "from 0 to 5; with 3 classes"),
        ({"train_labels": np.array([-1, 0, 1] * 2)}, "from -1 to 1"),
        ({"test_labels": np.array([0, 1, 3])}, "test_labels goes from 0 to 3"),
        ({"classes": np.array(["a", "b"])}, "with 2 classes"),
        ({"classes": np.array([1, 2, 3])}, "must be text"),
        ({"train_labels": np.array([0, 1, 2] * 2, object)}, "without pickled objects"),
    ],
)
def test_npz_errors(folders: Path, wrong: dict[str, Any], named: str) -> None:
    """What is wrong with an array is said with its name; a pickled object is never loaded."""
    np.savez(folders / "x.npz", **arrays(**wrong))
    with pytest.raises(DataError, match=named):
        Npz(file="x.npz").load()


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (
            {"train_inputs": pixels(6, 3, 4, 4) / 255},
            "for values from 0 to 1, (inputs * 255).round().astype(numpy.uint8)",
        ),
        ({"test_inputs": pixels(3, 3, 4, 4).astype(int)}, "for values from 0 to 255, inputs.astype(numpy.uint8)"),
        (
            {"test_inputs": pixels(3, 3, 4, 4) > 9},
            "for pixels that are False or True, (inputs * 255).astype(numpy.uint8)",
        ),
        ({"train_labels": np.eye(3)[[0, 1, 2, 0, 1, 2]]}, "labels.argmax(axis=1)"),
    ],
)
def test_npz_hints(folders: Path, wrong: dict[str, Any], hint: str) -> None:
    """What is right but for its type is told how to become it."""
    np.savez(folders / "x.npz", **arrays(**wrong))
    with pytest.raises(DataError) as raised:
        Npz(file="x.npz").load()
    assert hint in raised.value.hint


NCHW, NHWC = (3, 8, 8), (8, 8, 3)


@pytest.mark.parametrize(
    ("shape", "layout", "read"),
    [
        (NHWC, "NHWC", (3, 8, 8)),
        (NCHW, "NCHW", (3, 8, 8)),
        (NCHW, None, (3, 8, 8)),
        (NHWC, "NCHW", (8, 8, 3)),
        ((8, 9), "NHWC", (1, 8, 9)),
        ((3, 3, 3), None, (3, 3, 3)),
        ((16, 8, 8), None, (16, 8, 8)),
        ((2, 8, 8), None, (2, 8, 8)),
        ((8, 8, 2), "NHWC", (2, 8, 8)),
    ],
)
def test_layout(folders: Path, shape: tuple[int, ...], layout: Any, read: tuple[int, ...]) -> None:
    """The channels come first, whichever way round they were written; what is said is believed."""
    given = pixels(6, *shape)
    np.savez(folders / "x.npz", **arrays(train_inputs=given, test_inputs=pixels(3, *shape)))
    inputs = Npz(file="x.npz", layout=layout).load().train.inputs
    assert read == inputs.shape[1:]
    expected = given.transpose(0, 3, 1, 2) if layout == "NHWC" and given.ndim == 4 else given
    assert np.array_equal(expected.reshape(6, *read), inputs.numpy())


@pytest.mark.parametrize(
    ("shape", "layout", "looks", "hint"),
    [
        (NHWC, None, "(N, H, W, C)", 'layout = "NHWC"'),
        ((28, 28, 1), None, "(N, H, W, C)", "transpose(0, 3, 1, 2)"),
        ((8, 8, 4), None, "(N, H, W, C)", 'layout = "NHWC"'),
        (NCHW, "NHWC", "(N, C, H, W)", 'layout = "NCHW"'),
    ],
)
def test_layout_that_is_evidently_another(
    folders: Path, shape: tuple[int, ...], layout: Any, looks: str, hint: str
) -> None:
    """NumPy's own layout would train, as images of many channels and three pixels a row."""
    np.savez(folders / "x.npz", **arrays(train_inputs=pixels(6, *shape), test_inputs=pixels(3, *shape)))
    with pytest.raises(DataError, match="train_inputs has the shape") as raised:
        Npz(file="x.npz", layout=layout).load()
    assert f"looks like {looks}" in str(raised.value)
    assert hint in raised.value.hint


@pytest.mark.parametrize(("content", "named"), [(None, "there is no file"), (b"no archive", "can't be read")])
def test_npz_missing_or_damaged(folders: Path, content: bytes | None, named: str) -> None:
    """The error names the file."""
    if content is not None:
        (folders / "x.npz").write_bytes(content)
    with pytest.raises(DataError, match=named) as raised:
        Npz(file="x.npz").load()
    assert str(folders / "x.npz") in str(raised.value)


# --- custom


def reversed_images(count: int) -> Any:
    """What a study's `custom` data imports here."""
    if count == 0:
        raise FileNotFoundError("my images")
    return arrays(train_inputs=pixels(6, 3, 4, 4)[:, :, ::-1]) if count == 6 else "no arrays"


def test_custom(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function's arrays become a data set as a file's do; equal specs are one to a worker's cache."""
    monkeypatch.setenv("HPO_CUSTOM_TARGETS", "tests.unit")
    given = {"kind": "custom", "target": "tests.unit.test_data:reversed_images", "args": {"count": 6}}
    source, again = (TypeAdapter(Data).validate_python(given) for _ in range(2))
    assert np.array_equal(pixels(6, 3, 4, 4)[:, :, ::-1], source.load().train.inputs.numpy())
    assert {source} == {source, again}


def test_custom_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a file."""
    monkeypatch.setenv("HPO_CUSTOM_TARGETS", "tests.unit")
    source = Custom(target="tests.unit.test_data:reversed_images", args={"count": 6}, layout="NHWC")
    assert (6, 4, 3, 4) == source.load().train.inputs.shape


def test_custom_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that this worker may not import, or that raises or returns something else, is named."""
    wrong, raising = (Custom(target="tests.unit.test_data:reversed_images", args={"count": n}) for n in (5, 0))
    monkeypatch.delenv("HPO_CUSTOM_TARGETS", raising=False)
    with pytest.raises(TargetError, match=r"may not import tests\.unit\.test_data"):
        wrong.load()
    monkeypatch.setenv("HPO_CUSTOM_TARGETS", "tests.unit")
    with pytest.raises(DataError, match="reversed_images returned 'no arrays'; it must return train_inputs"):
        wrong.load()
    with pytest.raises(
        DataError, match=r"reversed_images raised FileNotFoundError: my images \(line \d+ of .*test_data"
    ):
        raising.load()


# --- fingerprint


def test_fingerprint_sees_every_change() -> None:
    """Equal content, equal fingerprint; another pixel, label, shape or border of the parts, another one."""
    inputs, labels = torch.from_numpy(pixels(4, 1, 2, 3)), torch.tensor([0, 1, 0, 1])
    whole = Images(inputs, labels)

    def of(inputs: torch.Tensor, labels: torch.Tensor) -> str:
        return fingerprint(Images(inputs, labels), whole)

    pixel, label = inputs.clone(), labels.clone()
    pixel[3, 0, 1, 2] ^= 1
    label[3] = 0
    assert of(inputs, labels) == of(inputs.clone(), labels.clone())
    assert of(inputs, labels) == of(inputs.transpose(2, 3).contiguous().transpose(2, 3), labels)
    parts = (whole.take(torch.arange(3)), whole.take(torch.arange(3, 4)))
    different = {
        of(inputs, labels),
        of(pixel, labels),
        of(inputs, label),
        of(inputs.view(4, 1, 3, 2), labels),
        fingerprint(*parts),
        fingerprint(*reversed(parts)),
    }
    assert 6 == len(different)


# --- splits


def numbers(images: Images) -> list[int]:
    """Which of `made`'s images these are."""
    return [int(first) // 8 for first in images.inputs[:, 0, 0, 0]]


def test_split_is_stratified_and_disjoint() -> None:
    """Every training image is in one part, each class in its proportion."""
    splits = split(made((20, 8, 4)), Digits(validation=0.25), with_test=False, device=CPU)
    assert ([15, 6, 3], [5, 2, 1]) == (
        splits.train.labels.bincount().tolist(),
        splits.validation.labels.bincount().tolist(),
    )
    assert list(range(32)) == sorted(numbers(splits.train) + numbers(splits.validation))
    assert 3 == splits.classes


def test_split_depends_on_its_seed_alone() -> None:
    """The global generators don't matter; another seed holds out other images."""
    parts = []
    for generator_seed, split_seed in ((1, 42), (2, 42), (1, 43)):
        torch.manual_seed(generator_seed)
        source = Digits(validation=8, split_seed=split_seed)
        parts.append(numbers(split(made((20, 8, 4)), source, with_test=False, device=CPU).validation))
    assert parts[0] == parts[1]
    assert set(parts[0]) != set(parts[2])


def test_split_is_the_same_for_ever() -> None:
    """A change of the held out images would make stored results incomparable."""
    assert [29, 15, 17, 0] == hold_out(torch.arange(4).repeat_interleave(8), 4, seed=42)[0].tolist()


def test_test_images_only_when_asked() -> None:
    """Without `with_test` there is nothing to select on by mistake."""
    dataset = made((6, 6))
    assert split(dataset, Digits(), with_test=False, device=CPU).test is None
    test = split(dataset, Digits(), with_test=True, device=CPU).test
    assert test is not None
    assert torch.equal(dataset.test.inputs, test.inputs)


def test_train_limit() -> None:
    """It reduces the training part alone, stratified, to a subset; a limit out of reach changes nothing."""
    dataset = made((16, 8, 8))
    whole, limited, unlimited = (
        split(dataset, Digits(validation=8, train_limit=limit), with_test=False, device=CPU) for limit in (None, 12, 24)
    )
    assert [6, 3, 3] == limited.train.labels.bincount().tolist()
    assert set(numbers(limited.train)) < set(numbers(whole.train))
    assert numbers(whole.validation) == numbers(limited.validation)
    assert numbers(whole.train) == numbers(unlimited.train)


@pytest.mark.parametrize(
    ("dataset", "source", "named"),
    [
        (made((4, 4)), Digits(validation=0.01), r"holds out 0 of 8"),
        (made((4, 4)), Digits(validation=8), r"holds out 8 of 8"),
        (made((4, 4)), Digits(validation=1000), r"holds out 1,000 of 8"),
        (made((8,)), Digits(), "one class, 'c0'"),
        (
            made((4, 4, 4)),
            Npz(file="x", validation=3, train_limit=2),
            r"1 of 3 classes, the first 'c2'.*the 2 training images",
        ),
        (made((9, 1)), Digits(validation=9), r"'c\d', have no image among the 1 training images \(of 10"),
        (made((4, 4), classes=3), Digits(), r"'c2', have no image"),
    ],
)
def test_split_errors(dataset: Dataset, source: Source, named: str) -> None:
    """A split that leaves nothing says so in numbers."""
    with pytest.raises(DataError, match=named):
        split(dataset, source, with_test=False, device=CPU)


def test_statistics() -> None:
    """Mean and standard deviation per channel in 0..1; a constant channel is never divided by zero."""
    inputs = torch.from_numpy(pixels(50, 3, 4, 4))
    inputs[:, 1] = 77
    mean, std = statistics(inputs)
    floats = inputs.double().div(255).transpose(0, 1).flatten(1)
    torch.testing.assert_close(floats.mean(1).float(), mean)
    torch.testing.assert_close(floats[[0, 2]].std(1, correction=0).float(), std[[0, 2]])
    assert 1.0 == std[1]


def test_statistics_of_many_images() -> None:
    """More than are counted together: bit for bit those of all pixels at once."""
    inputs = torch.randint(0, 256, (2_500, 2, 3, 4), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    counts = torch.stack([torch.bincount(channel.flatten(), minlength=256) for channel in inputs.unbind(1)])
    share, values = counts / counts.sum(1, keepdim=True, dtype=torch.float64), torch.arange(256) / 255
    mean, std = statistics(inputs)
    assert mean == pytest.approx((share * values).sum(1), rel=1e-6)
    repeated = statistics(torch.cat([inputs, inputs]))
    assert torch.equal(torch.stack([mean, std]), torch.stack(repeated)), "exact counts: twice as many of each"


def test_statistics_of_the_training_part() -> None:
    """Held out images don't take part in the normalization."""
    splits = split(made((20, 8, 4)), Digits(validation=0.25), with_test=True, device=CPU)
    mean, std = statistics(splits.train.inputs)
    assert torch.equal(mean, splits.mean)
    assert torch.equal(std, splits.std)
