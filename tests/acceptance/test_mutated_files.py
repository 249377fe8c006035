"""Whatever a study file holds, `hpo check` answers: exit code 0 or 2, in words, within a second."""

from __future__ import annotations

import copy
import json
import os
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpo.cli import cli

EXAMPLES_TRIED = int(os.environ.get("HPO_TEST_EXAMPLES", "500"))
STUDIES = sorted(Path("studies").glob("*.toml"))
EXAMPLES = {path.stem: tomllib.loads(path.read_text()) for path in STUDIES}

odd_texts = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        [
            "",
            "../../etc/passwd",
            "a/b",
            "'",
            '"; drop table hpo_cell; --',
            "[red]",
            "\x1b[31m",
            "\x00",
            "x" * 5000,
            "nan",
            "kind",
        ]
    ),
)
scalars = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from([0, -1, 1, 10**12, 10**400, 1e308, -1e308, 5e-324, 1e-320]),
    odd_texts,
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(odd_texts, inner, max_size=4)),
    max_leaves=8,
)


def toml(value: Any) -> str:
    """A value as TOML writes it inline."""
    match value:
        case bool():
            return str(value).lower()
        case float():
            return repr(value)  # nan, inf and 1e+308 are TOML too
        case int():
            return str(value)
        case str():
            return json.dumps(value, ensure_ascii=True).replace("\x7f", "\\u007f")
        case list():
            return "[" + ", ".join(map(toml, value)) + "]"
        case dict():
            return "{" + ", ".join(f"{toml(str(key))} = {toml(below)}" for key, below in value.items()) + "}"
    raise AssertionError(value)


def places(table: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything in a file."""
    keys = table.keys() if isinstance(table, dict) else range(len(table)) if isinstance(table, list) else ()
    return [found for key in keys for found in [(*path, key), *places(table[key], (*path, key))]]


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """One of our studies with a few things replaced, removed, renamed, copied elsewhere or added."""
    table = copy.deepcopy(EXAMPLES[draw(st.sampled_from(sorted(EXAMPLES)))])
    for _ in range(draw(st.integers(1, 4))):
        path = draw(st.sampled_from(places(table)))
        holder = table
        for key in path[:-1]:
            holder = holder[key]
        match draw(st.sampled_from(["replace", "remove", "rename", "copy", "add"])):
            case "replace":
                holder[path[-1]] = draw(values)
            case "remove":
                del holder[path[-1]]
            case "rename" if isinstance(holder, dict):
                holder[draw(odd_texts)] = holder.pop(path[-1])
            case "copy":
                other = table
                for key in draw(st.sampled_from(places(table))):
                    other = other[key]
                holder[path[-1]] = copy.deepcopy(other)
            case _ if isinstance(holder, dict):
                holder[draw(odd_texts)] = draw(values)
        if not places(table):
            break
    return "\n".join(f"{toml(key)} = {toml(value)}" for key, value in table.items())


def check(path: Path, content: bytes) -> None:
    """Run `hpo check` on a file; no other exception than the exit, and words on stderr if it is refused."""
    path.write_bytes(content)
    began = time.process_time()  # of this process: what else the machine does is not counted
    result = CliRunner().invoke(cli, ["check", str(path)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert result.exit_code in (0, 2)
    if result.exit_code == 2:
        assert result.stderr.startswith("error: ")
        assert "\x1b" not in result.stderr
        assert "Traceback" not in result.stderr
    assert len(result.output) < 100_000
    assert time.process_time() - began < 1.0


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the file lies. What the command imports is imported by now."""
    import hpo.report.render.plan_summary
    import hpo.study.file  # noqa: F401

    return tmp_path_factory.mktemp("mutated") / "study.toml"


@settings(max_examples=EXAMPLES_TRIED, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=mutated())
def test_mutated_studies(path: Path, text: str) -> None:
    """Well-formed TOML with anything in it."""
    check(path, text.encode())


@settings(max_examples=EXAMPLES_TRIED // 3, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_bytes(path: Path, data: st.DataObject) -> None:
    """A file with bytes overwritten, cut off or put in."""
    content = bytearray(data.draw(st.sampled_from(STUDIES)).read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 20))] = data.draw(st.binary(max_size=20))
    check(path, bytes(content))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5000 + "]" * 5000,
        "a = " + "[" * 5000 + "]" * 5000,
        "a" + ".a" * 5000 + " = 1",
        "x = " + "9" * 10_000,
        "# nothing",
        "",
        "a = 1\n" * 2,
        "name = 'x'\n" + "\n".join(f"[arms.a{n}]" for n in range(200)),
        'name = "x"\ntrial = {}\n[arms.a.search]\n' + "\n".join(f"p{n} = {{ values = [1, 2] }}" for n in range(40)),
    ],
)
def test_monsters(path: Path, text: str) -> None:
    """Depth, length and number are bounded."""
    check(path, text.encode())


def test_a_huge_grid(path: Path) -> None:
    """A grid is counted, not listed, before it is refused."""
    numbers = ", ".join(f"{0.001 * n:.3f}" for n in range(1, 200))
    text = Path("studies/quickstart.toml").read_text()
    text = text.replace("values = [0.01, 0.05, 0.2]", f"values = [{numbers}]")
    text = text.replace("values = [0.0, 1e-3, 1e-2, 1e-1]", f"values = [{numbers}]").replace(
        "epochs = 144", "epochs = 999999"
    )
    check(path, text.encode())
