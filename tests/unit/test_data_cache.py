"""What a worker keeps of its data sets: never longer than the files are those that were read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hpo.errors import DataError, TargetError
from hpo.trainers import target
from hpo.trainers.images.data import Cifar10, Custom, Data, Dataset, Digits, ImageFolder, Npz, npz
from hpo.trainers.images.data.cache import DataCache
from hpo.trainers.images.data.layout import Layout

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of the test's own machine."""
    monkeypatch.setenv("HPO_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("HPO_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def arrays(seed: int) -> dict[str, Any]:
    """Twelve images of three classes to learn from and six for the end; other ones for every seed."""
    dice = np.random.default_rng(seed)
    return {
        "train_inputs": dice.integers(0, 256, (12, 3, 4, 4), np.uint8),
        "train_labels": np.arange(12) % 3,
        "test_inputs": dice.integers(0, 256, (6, 3, 4, 4), np.uint8),
        "test_labels": np.arange(6) % 3,
    }


def write_npz(folder: Path, seed: int) -> Path:
    """A new file each time: two writes within a tick of the file system's clock leave the same times."""
    np.savez(folder / "new.npz", **arrays(seed))
    return (folder / "new.npz").rename(folder / "set.npz")


def write_pets(folder: Path, seed: int) -> Path:
    """Bitmaps: all of one size have one length."""
    dice = np.random.default_rng(seed)
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            (folder / "pets" / part / name).mkdir(parents=True, exist_ok=True)
            for number in range(3):
                image = Image.fromarray(dice.integers(0, 256, (4, 4, 3), np.uint8))
                image.save(folder / "pets" / part / name / f"{number}.bmp")
    return folder / "pets/train/dog/1.bmp"


def overwritten(file: Path, other: bytes) -> None:
    """In place, with the old time set again."""
    before = file.stat()
    file.write_bytes(other)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(file: Path, other: bytes) -> None:
    """By another file of the same size and time."""
    before = file.stat()
    new = file.with_name("new")
    new.write_bytes(other)
    os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
    new.rename(file)


KINDS = [(Npz(file="set.npz", validation=3), write_npz), (ImageFolder(folder="pets", validation=2), write_pets)]


@pytest.mark.parametrize("change", [overwritten, replaced])
@pytest.mark.parametrize(("source", "write"), KINDS)
def test_a_replaced_file_is_read_again(
    source: Data, write: Callable[[Path, int], Path], change: Callable[[Path, bytes], None], folder: Path
) -> None:
    """Its size and time may be those of the file before; a study that goes on keeps the images that it began with."""
    cache, file = DataCache(), write(folder, 1)
    first = cache.load(source, "a study")
    assert cache.load(source, "a study") is cache.load(source, "another") is cache.load(source) is first
    shutil.copytree(folder, folder.with_name("other"))
    other = write(folder.with_name("other"), 2).read_bytes() if source.kind == "npz" else flipped(file)
    assert len(other) == file.stat().st_size
    change(file, other)

    assert cache.load(source, "a study") is first
    second = cache.load(source, "a new study")
    assert first.fingerprint != second.fingerprint
    assert source.load().fingerprint == second.fingerprint
    assert cache.load(source) is second


def flipped(bitmap: Path) -> bytes:
    """The same bitmap but for its last pixel."""
    content = bitmap.read_bytes()
    return content[:-1] + bytes([content[-1] ^ 255])


def test_an_image_that_came_or_went(folder: Path) -> None:
    """The identity of a folder is that of all its images."""
    write_pets(folder, 1)
    source = ImageFolder(folder="pets")
    seen = [source.identity()]
    shutil.copy(folder / "pets/train/cat/0.bmp", folder / "pets/train/cat/3.bmp")
    seen.append(source.identity())
    (folder / "pets/train/cat/3.bmp").rename(folder / "pets/train/cat/4.bmp")
    seen.append(source.identity())
    (folder / "pets/train/cat/4.bmp").unlink()
    assert seen[0] == source.identity()
    assert 3 == len(set(seen))


def test_another_data_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same spec means other files under another HPO_DATA_DIR."""
    other = folder.with_name("other")
    other.mkdir()
    write_npz(folder, 1), write_npz(other, 2)
    source, cache = Npz(file="set.npz"), DataCache()
    first = cache.load(source)
    monkeypatch.setenv("HPO_DATA_DIR", str(other))
    assert first.fingerprint != cache.load(source).fingerprint


def test_cifar_is_known_by_the_files_there_are(folder: Path) -> None:
    """Missing ones, such as before a download, are an identity too."""
    files = folder / "cifar-10-batches-py"
    seen = [Cifar10().identity()]
    files.mkdir()
    (files / "data_batch_1").write_bytes(b"1")
    seen.append(Cifar10().identity())
    replaced(files / "data_batch_1", b"2")
    seen.append(Cifar10().identity())
    assert 3 == len(set(seen))
    assert seen[2] == Cifar10().identity()


def test_digits_are_always_the_same() -> None:
    """They are part of a package."""
    cache = DataCache()
    assert cache.load(Digits(), 1) is cache.load(Digits(), 2) is cache.load(Digits())


# --- a function of one's own


def kept_elsewhere(file: str) -> dict[str, Any]:
    """What a study's `custom` data imports here: it reads a file that nobody else knows of."""
    return dict(np.load(file))


def test_custom_data_is_kept_within_a_study(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What its function reads isn't known, so every study reads it anew; two that take turns keep their own."""
    monkeypatch.setenv("HPO_CUSTOM_TARGETS", "tests.unit")
    source = Custom(target="tests.unit.test_data_cache:kept_elsewhere", args={"file": str(write_npz(folder, 1))})
    cache = DataCache()
    first = cache.load(source, "a study")
    write_npz(folder, 2)
    second = cache.load(source, "another")
    assert first.fingerprint != second.fingerprint
    assert (first, second) == (cache.load(source, "a study"), cache.load(source, "another"))
    assert second.fingerprint == cache.load(source).fingerprint
    assert cache.load(source) is not cache.load(source)


def test_changed_code_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module is read once by Python: a new study on its new version would be trained with the old one."""
    (folder / "my_images.py").write_text("from tests.unit.test_data_cache import arrays\ndef read(): return arrays(1)")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(target, "_imported", {})
    monkeypatch.setenv("HPO_CUSTOM_TARGETS", "my_images")
    source, cache = Custom(target="my_images:read"), DataCache()
    first = cache.load(source, "a study")
    (folder / "my_images.py").write_text("from tests.unit.test_data_cache import arrays\ndef read(): return arrays(22)")
    assert cache.load(source, "a study") is first
    with pytest.raises(TargetError, match=r"my_images\.py changed after this worker read it") as raised:
        cache.load(source, "another")
    assert "start the worker again" == raised.value.hint
    (folder / "my_images.py").unlink()
    with pytest.raises(TargetError, match="changed"):
        cache.load(source, "another")


# --- while it is read


def restless(folder: Path, times: int, monkeypatch: pytest.MonkeyPatch) -> Npz:
    """A file in whose place comes another one as soon as it was read, so many times."""
    write_npz(folder, 1)
    seeds, read = iter(range(10, 10 + times)), npz.read

    def read_and_replace(path: Path, layout: Layout | None) -> Dataset:
        dataset = read(path, layout)
        for seed in islice(seeds, 1):
            write_npz(folder, seed)
        return dataset

    monkeypatch.setattr(npz, "read", read_and_replace)
    return Npz(file="set.npz")


def test_a_file_that_changes_while_it_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read again; what is kept is what the file holds in the end."""
    source = restless(folder, 1, monkeypatch)
    kept = DataCache().load(source)
    assert source.load().fingerprint == kept.fingerprint


def test_a_file_that_does_not_come_to_rest(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused in words, and nothing is kept."""
    source, cache = restless(folder, 3, monkeypatch), DataCache()
    with pytest.raises(DataError, match="the files of the npz images changed while they were read"):
        cache.load(source)
    assert source.load().fingerprint == cache.load(source).fingerprint


# --- splits


def test_splits(folder: Path) -> None:
    """The search phase sees the very tensors of the confirm phase, without test; they are of what was loaded last."""
    write_npz(folder, 1)
    source, cache = Npz(file="set.npz", validation=3), DataCache()
    cache.load(source, "a study")
    search, confirm = (cache.splits(source, with_test, CPU, "a study") for with_test in (False, True))
    assert search.test is None
    assert confirm.test is not None
    assert search.train.inputs is confirm.train.inputs
    write_npz(folder, 2)
    assert search.train.inputs is cache.splits(source, False, CPU).train.inputs
    cache.load(source, "another")
    later = cache.splits(source, True, CPU, "another")
    assert not torch.equal(confirm.train.inputs, later.train.inputs)
    assert torch.equal(confirm.train.labels, later.train.labels)


def test_only_the_last_are_kept(folder: Path) -> None:
    """Two data sets; what was not used for longest goes first."""
    names = [shutil.copy(write_npz(folder, seed), folder / f"{seed}.npz").name for seed in range(3)]
    first, second, third = (Npz(file=name) for name in names)
    cache = DataCache()
    datasets = [cache.load(source) for source in (first, second)]
    assert cache.load(first) is datasets[0]
    cache.load(third)
    assert cache.load(first) is datasets[0]
    assert cache.load(second) is not datasets[1]


def test_a_data_set_is_read_once_however_it_is_split(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every search may have its own split: another one is no other data set."""
    cache, read = DataCache(), 0
    load = Digits.load

    def counted(self: Digits) -> Dataset:
        nonlocal read
        read += 1
        return load(self)

    monkeypatch.setattr(Digits, "load", counted)
    held_out = []
    for seed in (1, 2, 3, 1):
        source = Digits(kind="digits", validation=0.2, split_seed=seed)
        cache.load(source, "study")
        held_out.append(cache.splits(source, False, CPU, "study").validation.inputs)
    assert 1 == read
    assert torch.equal(held_out[0], held_out[3])
    assert not any(torch.equal(held_out[0], other) for other in held_out[1:3])
