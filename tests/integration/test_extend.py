"""`hpo extend`: a study gets more to do, also when it is finished, and says that it did."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from click.testing import CliRunner, Result

from hpo.cli import cli
from hpo.report.toml import study_file
from hpo.service import begin_study, find_study, verdict
from hpo.storage import Storage, open_storage
from hpo.storage.rows import Cell
from hpo.study import StudySpec
from hpo.study.file import parse
from tests.integration.helpers import make_study, work_here

RANGE = {"search": {"lr.peak": {"low": 0.01, "high": 0.2}}}
TWO = {name: {"sampler": {"kind": "random"}, **RANGE} for name in ("one", "two")}


@pytest.fixture
def storage(sqlite_url: str) -> Iterator[Storage]:
    """An open SQLite storage without studies."""
    opened = open_storage(sqlite_url)
    yield opened
    opened.close()


def hpo(storage: Storage, *arguments: str) -> Result:
    """The command in this process."""
    url = storage.url.render_as_string(hide_password=False)
    return CliRunner().invoke(cli, arguments, env={"HPO_STORAGE": url})


def cells(storage: Storage) -> list[Cell]:
    """All cells of the study that are part of it."""
    return [cell for cell in storage.ledger.cells(storage.ledger.study("digits").id) if cell.state != "withdrawn"]


def study(budget: dict[str, int], **protocol: object) -> StudySpec:
    """Two arms that search at random, and confirm their best."""
    return make_study(TWO, budget=budget, confirm={"seeds": 2}, **protocol)


@pytest.mark.parametrize(
    ("budget", "option", "trials"), [({"trials": 3}, "--trials=2", 5), ({"epochs": 9}, "--epochs=6", 5)]
)
def test_more_trials_for_a_finished_study(storage: Storage, budget: dict[str, int], option: str, trials: int) -> None:
    """Every arm searches on, and its best of all is confirmed, by the same seeds; the report says so."""
    row = begin_study(storage, study(budget))
    work_here(storage)
    before = {cell.id: (cell.params, cell.score) for cell in cells(storage) if cell.phase == "search"}
    assert "finished" == storage.ledger.study("digits").state
    done = hpo(storage, "extend", "digits", option)
    assert 0 == done.exit_code, done.output
    assert "running" == storage.ledger.study("digits").state
    work_here(storage)
    for arm in TWO:
        searched = [cell for cell in cells(storage) if (cell.arm, cell.phase) == (arm, "search")]
        confirmed = [cell for cell in cells(storage) if (cell.arm, cell.phase) == (arm, "confirm")]
        assert trials == len(searched)
        assert {"done"} == {cell.state for cell in (*searched, *confirmed)}
        best = max(searched, key=lambda cell: cell.score or 0.0)
        assert 2 == len(confirmed) and all(cell.params == best.params for cell in confirmed)
        url = storage.url.render_as_string(hide_password=False)
        assert trials == len(optuna.load_study(study_name=f"digits/{arm}", storage=url).trials)
    after = {cell.id: (cell.params, cell.score) for cell in cells(storage)}
    assert before == {id: after[id] for id in before}
    report = verdict(storage, "digits")
    assert "Compute: equal" in report.compute
    assert any(rule.startswith("Extended by ") and "when 10 of 10 trials were done" in rule for rule in report.rules)
    assert row.uuid == storage.ledger.study("digits").uuid


def test_more_seeds(storage: Storage) -> None:
    """Those there are stay, the new ones are the next; a grid can have them too."""
    begin_study(storage, make_study(confirm={"seeds": 2}))
    work_here(storage)
    before = {cell.id for cell in cells(storage)}
    assert 0 == hpo(storage, "extend", "digits", "--seeds=3").exit_code
    work_here(storage)
    confirmed = [cell for cell in cells(storage) if cell.phase == "confirm"]
    assert 5 == len({cell.seed for cell in confirmed}) == len(confirmed)
    assert before < {cell.id for cell in cells(storage)}
    assert 5 == verdict(storage, "digits").arms[0].validation.n  # type: ignore[union-attr]


def test_launched_again(storage: Storage) -> None:
    """By its old file, which knows nothing of it, and by the file that a report writes."""
    first = study({"trials": 2})
    row = begin_study(storage, first)
    assert 0 == hpo(storage, "extend", "digits", "--trials=1", "--seeds=1").exit_code
    assert row.id == begin_study(storage, first).id
    _, stored = find_study(storage, "digits")
    assert (3, 3) == (stored.protocol.budget.trials, stored.protocol.confirm.seeds)  # type: ignore[union-attr]
    import tomllib

    written = parse(tomllib.loads(study_file(stored)))
    assert json.loads(written.model_dump_json()) == json.loads(stored.model_dump_json())
    assert row.id == begin_study(storage, written).id


@pytest.mark.parametrize(
    ("stored", "given", "options"),
    [
        ({"budget": {"trials": 3}}, {"budget": {"trials": 5}}, "--trials 2"),
        ({"budget": {"epochs": 9}}, {"budget": {"epochs": 15}, "confirm": {"seeds": 3}}, "--epochs 6 --seeds 1"),
        ({"budget": {"trials": 3}}, {"budget": {"trials": 2}}, None),
        ({"budget": {"trials": 3}}, {"budget": {"trials": 5}, "seed": 1}, None),
    ],
)
def test_a_file_that_asks_for_more(
    storage: Storage, tmp_path: Path, stored: dict[str, Any], given: dict[str, Any], options: str | None
) -> None:
    """It is refused with the extension that is meant, after which the file as it was goes on."""
    confirm = {"confirm": {"seeds": 2}}
    files = []
    for number, protocol in enumerate((stored, given)):
        files.append(tmp_path / f"{number}.toml")
        files[-1].write_text(study_file(make_study(TWO, **confirm | protocol)))
    assert 0 == hpo(storage, "launch-study", str(files[0]), "--workers=0").exit_code
    refused = hpo(storage, "launch-study", str(files[1]), "--workers=0")
    assert 2 == refused.exit_code
    if options is None:
        assert "hpo extend" not in refused.stderr
        return
    assert f"hint: to go on with more: hpo extend digits {options}, then hpo worker digits, or launch" in refused.stderr
    assert 0 == hpo(storage, "extend", "digits", *options.split()).exit_code
    assert 0 == hpo(storage, "launch-study", str(files[0]), "--workers=0").exit_code


def test_twice_while_it_runs(storage: Storage) -> None:
    """Nothing has ended yet: the trials are there at once."""
    begin_study(storage, study({"trials": 2}))
    for _ in range(2):
        assert 0 == hpo(storage, "extend", "digits", "--trials=3").exit_code
    assert 2 * 8 == len(cells(storage))
    assert ["planned"] * 16 == [cell.state for cell in cells(storage)]


@pytest.mark.parametrize(
    ("made", "options", "said"),
    [
        (study({"trials": 2}), [], "nothing says how much more the study is to do"),
        (study({"trials": 2}), ["--epochs=2"], "protocol.budget counts trials, not epochs"),
        (study({"trials": 2}), ["--trials=2", "--epochs=2"], "protocol.budget counts trials, not epochs"),
        (study({"epochs": 6}), ["--trials=2"], "protocol.budget counts epochs, not trials"),
        (make_study(), ["--trials=2"], "only can't be extended, since a grid lists all of its points"),
        (make_study(), ["--seeds=2"], "has no confirm phase"),
    ],
)
def test_what_can_t_be(storage: Storage, made: StudySpec, options: list[str], said: str) -> None:
    """One message, exit code 2, and the study is as it was."""
    begin_study(storage, made)
    before = storage.ledger.study("digits")
    done = hpo(storage, "extend", "digits", *options)
    assert (2, True) == (done.exit_code, said in done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert before == storage.ledger.study("digits")


def test_a_stopped_study(storage: Storage) -> None:
    """It stays stopped."""
    begin_study(storage, study({"trials": 2}))
    assert 0 == hpo(storage, "stop", "digits").exit_code
    done = hpo(storage, "extend", "digits", "--trials=1")
    assert (2, True) == (done.exit_code, "digits is stopped" in done.stderr)
