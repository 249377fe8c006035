"""Files that are not what they seem: pipes, bombs, programs; and reading that is stopped."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import threading
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import Future
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hpo.errors import DataError
from hpo.process import pulse
from hpo.trainers.images.data import Custom, ImageFolder, Npz, cache_dir
from hpo.trainers.images.data import room as room_module
from hpo.trainers.images.data.decoding import FORMATS, SUFFIXES, decode
from hpo.trainers.images.data.files import open_regular
from hpo.trainers.images.data.folders import locked
from hpo.trainers.images.data.waiting import result, watched

PETS = ImageFolder(folder="pets")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of the test's own machine."""
    monkeypatch.setenv("HPO_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("HPO_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def drawn(*shape: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, np.uint8))


@pytest.fixture
def pets(folder: Path) -> Path:
    """Two classes of two colour images each, for both parts."""
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            (folder / "pets" / part / name).mkdir(parents=True)
            for number in range(2):
                drawn(6, 4, 3).save(folder / "pets" / part / name / f"{number}.png")
    return folder / "pets"


# --- regular files only


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))


@pytest.mark.parametrize(
    ("put", "what"),
    [
        (os.mkfifo, "a pipe"),
        (make_socket, "a socket"),
        (lambda path: path.symlink_to("/dev/zero"), "a device"),
        (lambda path: path.mkdir(), "a folder"),
    ],
)
def test_what_is_no_regular_file(put: Callable[[Path], None], what: str, pets: Path, folder: Path) -> None:
    """It is refused by its kind: to open it could take for ever, or do something."""
    put(pets / "train/dog/zz.png")
    put(folder / "set.npz")
    for source, name in ((PETS, "zz.png"), (Npz(file="set.npz"), "set.npz")):
        for look in (source.load, source.identity):
            with pytest.raises(DataError, match=f"{name} is {what}; only regular files, and links to them"):
                look()


def test_links_are_followed(pets: Path, tmp_path: Path) -> None:
    """Who puts links into the data folder is the node's operator: they may lead out of it."""
    first = PETS.load()
    moved = (pets / "train/dog/1.png").rename(tmp_path / "elsewhere.png")
    (pets / "train/dog/1.png").symlink_to(moved)
    assert first.fingerprint == PETS.load().fingerprint


def test_a_pipe_in_place_of_the_lock(folder: Path) -> None:
    """It does not keep anybody waiting."""
    os.mkfifo(folder / "x.lock")
    with locked(folder / "x"):
        assert (folder / "x.lock").exists()


def test_reading_and_writing_are_signs_of_life(folder: Path) -> None:
    """A mark with each slice."""
    (folder / "large").write_bytes(bytes(3 << 20))
    marks = count()
    with pulse.interruptible(lambda: next(marks) < 0), open_regular(folder / "large") as file:
        assert bytes(3 << 20) == file.read(3 << 20)
    assert 3 <= next(marks)


# --- bombs


def bomb(path: Path, header: dict[str, Any] | None = None, **other: Any) -> None:
    """A sound file, but that the header of its training images promises what `header` says."""
    labels = np.arange(6) % 3
    images = np.zeros((6, 3, 4, 4), np.uint8)
    arrays = {"train_inputs": images, "train_labels": labels, "test_inputs": images, "test_labels": labels} | other
    np.savez_compressed(path, **arrays)
    if header:
        content = {name: zipfile.ZipFile(path).read(name) for name in zipfile.ZipFile(path).namelist()}
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in content.items():
                if name == "train_inputs.npy":
                    with archive.open(name, "w") as member:
                        np.lib.format.write_array_header_1_0(member, header)
                else:
                    archive.writestr(name, data)


def test_a_header_that_promises_too_much(folder: Path) -> None:
    """A petabyte in a few kilobytes is refused before memory is taken for it."""
    bomb(folder / "set.npz", {"descr": "|u1", "fortran_order": False, "shape": (10**9, 1, 1000, 1000)})
    with pytest.raises(DataError, match=r"set\.npz would take 1,000,000\.0 GB of memory; this machine has") as raised:
        Npz(file="set.npz").load()
    assert "fewer or smaller images" in raised.value.hint


def test_a_header_that_is_too_long(folder: Path) -> None:
    """One that says it has a gigabyte is not read to see whether that is so."""
    bomb(folder / "set.npz")
    with zipfile.ZipFile(folder / "set.npz") as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content["train_labels.npy"] = b"\x93NUMPY\x02\x00" + struct.pack("<I", 1 << 30) + bytes(64 << 20)
    with zipfile.ZipFile(folder / "set.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    del content
    tracemalloc.start()
    with pytest.raises(DataError, match=r"set\.npz can't be read as \.npz"):
        Npz(file="set.npz").load()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 32 << 20


def test_an_array_that_makes_room_for_another(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A length below zero is no length, whatever the sum of all is."""
    monkeypatch.setattr(room_module, "memory_bytes", lambda: 1 << 20)
    bomb(
        folder / "set.npz",
        {"descr": "|u1", "fortran_order": False, "shape": (-(10**9),)},
        classes=np.array(["a", "b", "c" * (1 << 18)]),
    )
    with pytest.raises(DataError, match="an array of the shape"):
        Npz(file="set.npz").load()


@pytest.mark.parametrize("shape", [(7, 3, 4, 4), (-1, 3, 4, 4), (2**70, 3, 4, 4)])
def test_a_header_that_lies(folder: Path, shape: tuple[int, ...]) -> None:
    """Of an array of another size than the file holds nothing is believed."""
    bomb(folder / "set.npz", {"descr": "|u1", "fortran_order": False, "shape": shape})
    with pytest.raises(DataError, match=r"set\.npz (can't be read as \.npz|would take)"):
        Npz(file="set.npz").load()


def test_names_that_take_gigabytes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All arrays count together, and what is not read does not."""
    monkeypatch.setattr(room_module, "memory_bytes", lambda: 1 << 20)
    bomb(folder / "set.npz", further=np.zeros(1 << 21, np.uint8))
    assert 6 == len(Npz(file="set.npz").load().train)
    bomb(folder / "set.npz", classes=np.array(["a", "b", "c" * (1 << 18)]))
    with pytest.raises(DataError, match="would take"):
        Npz(file="set.npz").load()


def test_a_container_may_have_less_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own limit counts, where it has one."""
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(room_module, "CONTAINER_LIMIT", limit)
    whole = room_module.memory_bytes()
    assert whole > 1 << 28
    for text, expected in (("max\n", whole), ("1048576\n", 1 << 20), (f"{10**18}\n", whole)):
        limit.write_text(text)
        assert expected == room_module.memory_bytes()


def png_header(width: int, height: int) -> bytes:
    """What a PNG of that size begins with."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b""))


def test_an_image_of_too_many_pixels(pets: Path) -> None:
    """A bomb is refused by its header, before Pillow warns of it, and where Pillow refuses it."""
    (pets / "train/cat/0.png").write_bytes(png_header(9000, 9000))
    with pytest.raises(DataError, match=r"cat/0\.png: it has 9000 x 9000 pixels; at most 80 million are allowed"):
        PETS.load()
    (pets / "train/cat/0.png").write_bytes(png_header(20_000, 20_000))
    with pytest.raises(DataError, match=r"can't read the image .*cat/0\.png: "):
        PETS.load()


def test_more_images_than_fit(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are counted before they are decoded."""
    monkeypatch.setattr(room_module, "memory_bytes", lambda: 8 * 3 * 6 * 4 - 1)
    with pytest.raises(DataError, match="8 images of 4 x 6 pixels would take"):
        PETS.load()


# --- programs


EPS = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 6\n%%EndComments\nshowpage\n%%EOF\n"


def test_no_program_is_started(pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostScript that is called .png would be handed to Ghostscript by Pillow, if it were let."""
    program, mark = tmp_path / "bin/gs", tmp_path / "mark"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {mark}\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    for suffix in (".png", ".jpg", ".tif"):
        (pets / "train/cat" / f"0{suffix}").write_text(EPS)
        with pytest.raises(DataError, match=rf"cat/0\{suffix}: the format must be one of PNG, JPEG"):
            PETS.load()
        (pets / "train/cat" / f"0{suffix}").unlink()
    assert not mark.exists()


def test_every_suffix_has_its_format() -> None:
    """What is listed as an image can be read as one, and nothing else is tried."""
    Image.init()
    assert set(FORMATS) == {Image.EXTENSION[suffix] for suffix in SUFFIXES}


def test_an_image_of_another_format_than_its_name_says(pets: Path) -> None:
    """A JPEG that is called .png is one of the images that are known, and read."""
    drawn(6, 4, 3).save(pets / "train/cat/0.png", "JPEG")
    assert 4 == len(PETS.load().train)


# --- a stop


def test_decoding_is_stopped(tmp_path: Path) -> None:
    """Among many images: of those that are left each thread only asks whether it may go on."""
    files = [tmp_path / f"{number}.png" for number in range(200)]
    for file in files:
        drawn(2, 2, 3).save(file)
    marks = count()
    with pulse.interruptible(lambda: next(marks) >= 20), pytest.raises(pulse.Interrupted):
        decode(files, None)
    assert next(marks) < 2 * len(files), "each image that is decoded passes two marks or more"


def test_a_stop_leaves_no_half_cache(pets: Path) -> None:
    """Wherever it comes, what is read later is whole."""
    whole = PETS.load().fingerprint
    (cached,) = cache_dir().glob("*.npz")
    for stop_at in count(0, 7):
        cached.unlink(missing_ok=True)
        marks = count()
        try:
            with pulse.interruptible(lambda marks=marks, at=stop_at: next(marks) >= at):  # type: ignore[misc]
                assert whole == PETS.load().fingerprint
                break
        except pulse.Interrupted:
            assert [] == list(cache_dir().glob("*.tmp"))
    assert stop_at > 20
    assert whole == PETS.load().fingerprint


def hung_for(seconds: float) -> Callable[[], bool]:
    """A watcher's question: whether no mark was passed for so long."""
    return lambda: pulse.age() > seconds


def test_a_read_that_hangs() -> None:
    """No mark is passed while one waits for it, and a stop is heeded nevertheless."""
    never: Future[None] = Future()
    with pulse.interruptible(hung_for(0.3)), pytest.raises(pulse.Interrupted):
        result(never)


RELEASED = threading.Event()


def waits_for_ever() -> dict[str, Any]:
    """A function of the user's that hangs."""
    RELEASED.wait()
    return {}


def test_a_function_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """It uses no processor, so no mark is passed; a stop does not wait for it."""
    monkeypatch.setenv("HPO_CUSTOM_TARGETS", "tests.unit")
    RELEASED.clear()
    try:
        with pulse.interruptible(hung_for(0.5)), pytest.raises(pulse.Interrupted):
            Custom(target="tests.unit.test_data_files:waits_for_ever").load()
    finally:
        RELEASED.set()


def test_a_function_that_works_is_not_hung() -> None:
    """Marks are passed while it uses the processor: otherwise this test would not come to its end."""

    def works() -> int:
        seen, last = 0, pulse.age()
        while seen < 3:
            age = pulse.age()
            seen += age < last
            last = age
        return seen

    assert 3 == watched(works)


def test_what_a_watched_function_raises() -> None:
    """Comes to the caller, a timeout of its own too."""

    def raises() -> None:
        raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match="of its own"):
        watched(raises)


def test_waiting_for_a_lock_is_stopped(folder: Path) -> None:
    """Another process holds it; whoever waits is alive, and heeds a stop."""
    marks = count()
    with (folder / "x.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with (
            pulse.interruptible(lambda: next(marks) >= 2),
            pytest.raises(pulse.Interrupted),
            locked(folder / "x"),
        ):
            raise AssertionError("the lock was given twice")
    with locked(folder / "x"):
        assert 3 == next(marks)
