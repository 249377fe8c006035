"""Curves in a line: how high each point is, on one scale, in characters that the stream has."""

from __future__ import annotations

from io import BytesIO, TextIOWrapper

import pytest

from hpo.cli.console import Console
from hpo.watch.sparkline import ASCII, BLOCKS, WIDTH, sparklines


@pytest.mark.parametrize(
    ("curve", "shown"),
    [
        ([], ""),
        ([0.5], "█"),
        ([0.0, 1.0], "▁█"),
        ([0.0, 0.5, 1.0], "▁▅█"),
        ([1.0, 0.0], "█▁"),
        ([3.0, 3.0], "██"),
        ([-1e100, 1e100], "▁█"),
    ],
)
def test_a_curve(curve: list[float], shown: str) -> None:
    """From the lowest value to the highest; one that does not move is at the top."""
    [line] = sparklines([curve])
    assert shown == line.text()


def test_several_have_one_scale() -> None:
    """Who is worse is lower, all along."""
    good, bad = sparklines([[0.8, 1.0], [0.0, 0.2]])
    assert ("▇█", "▁▂") == (good.text(), bad.text())


@pytest.mark.parametrize("n", [WIDTH - 1, WIDTH, WIDTH + 1, 1000])
def test_a_long_curve_is_thinned(n: int) -> None:
    """It is no wider than there is room for, and goes from one end to the other."""
    [line] = sparklines([[float(place) for place in range(n)]])
    assert min(n, WIDTH) == len(line.text())
    assert (BLOCKS[0], BLOCKS[-1]) == (line.text()[0], line.text()[-1])
    assert sorted(line.heights) == list(line.heights)


@pytest.mark.parametrize(("encoding", "characters"), [("utf-8", BLOCKS), ("ascii", ASCII), ("latin-1", ASCII)])
def test_the_streams_encoding(encoding: str, characters: str) -> None:
    """A stream without blocks gets ASCII of the same heights."""
    raw = BytesIO()
    stream = TextIOWrapper(raw, encoding=encoding)
    Console(file=stream, width=80).print(*sparklines([[float(height) for height in range(8)]]))
    stream.flush()
    assert f"{characters}\n" == raw.getvalue().decode(encoding)
