"""Arms that search several times, and seeds that are added until claims are decided: by real workers, to the end."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import optuna
import pytest
from click.testing import CliRunner, Result

from hpo.cli import cli
from hpo.report.toml import study_file
from hpo.service import begin_study, delete_study, find_study, findings, repair_study, verdict
from hpo.storage import Storage, create_storage
from hpo.storage.rows import Cell
from hpo.study import StudySpec
from hpo.study.file import parse
from tests.integration.helpers import TRIAL, Crew, optuna_trials, work_here

PEAK = {"lr.peak": {"low": 0.01, "high": 0.2, "log": True}}
ARMS: dict[str, Any] = {
    "tpe": {"sampler": {"kind": "tpe", "startup": 1}, "search": PEAK},
    "grid": {"search": {"lr.peak": {"values": [0.02, 0.05, 0.1]}}},
}
CLAIM = {"text": "tpe is better", "greater": {"arm": "tpe", "than": "grid"}}


def study(**protocol: Any) -> StudySpec:
    """A sampled arm and a grid; with a claim, if there is a confirm phase."""
    claims = [CLAIM] if "confirm" in protocol else []
    return parse({"name": "digits", "trial": TRIAL, "protocol": protocol, "arms": ARMS, "claims": claims})


def cells_of(storage: Storage) -> list[Cell]:
    return storage.ledger.cells(storage.ledger.study("digits").id)


def hpo(storage: Storage, *arguments: str) -> Result:
    url = storage.url.render_as_string(hide_password=False)
    return CliRunner().invoke(cli, arguments, env={"HPO_STORAGE": url})


def test_two_searches_of_each_arm(storage_url: str, tmp_path: Path) -> None:
    """Several workers: each search has its own proposals and its own Optuna study, and the test counts searches."""
    storage = create_storage(storage_url)
    plan = study(searches=2, budget={"epochs": 9}, confirm={"seeds": 2}, pruner={"kind": "median", "warmup": 1})
    row = begin_study(storage, plan)
    crew = Crew(storage_url, tmp_path)
    try:
        crew.start(2)
        crew.wait()
    finally:
        crew.kill()
    assert "finished" == storage.ledger.study("digits").state
    cells = cells_of(storage)
    assert {"done"} == {cell.state for cell in cells}
    confirmed = [cell for cell in cells if cell.phase == "confirm"]
    assert 8 == len(confirmed) == len({(cell.arm, cell.search, cell.seed) for cell in confirmed})
    proposed = [{cell.params["lr.peak"] for cell in cells if cell.params and _is(cell, search)} for search in (1, 2)]
    assert proposed[0].isdisjoint(proposed[1])
    for search, name in ((1, "digits/tpe"), (2, "digits/tpe/search-2")):
        known = optuna.load_study(study_name=name, storage=storage_url)
        assert {trial.params["lr.peak"] for trial in known.trials} == proposed[search - 1]
    assert len(cells) == len(optuna_trials(storage_url, plan))
    report = verdict(storage, "digits")
    assert "over 2 paired searches" in report.claims[0].reason and "Compute: equal" in report.compute
    table = json.loads(hpo(storage, "status", "digits", "--json").output)
    assert "finished" == table["studies"][0]["state"]
    found = findings(storage, "digits")
    assert 2 == len(found.report.arms[0].configurations)
    assert row.id == begin_study(storage, parse(tomllib.loads(study_file(found.study)))).id
    delete_study(storage, "digits")
    assert [] == optuna.get_all_study_names(storage=storage_url)
    storage.close()


def _is(cell: Cell, search: int) -> bool:
    return (cell.arm, cell.phase, cell.search) == ("tpe", "search", search)


def test_a_search_is_repeatable(sqlite_url: str) -> None:
    """With one worker, both searches propose what they proposed."""
    storage = create_storage(sqlite_url)
    proposals = []
    for _ in range(2):
        begin_study(storage, study(searches=2, budget={"trials": 3}))
        work_here(storage)
        proposals.append([(cell.arm, cell.slot, cell.seed, cell.params, cell.score) for cell in cells_of(storage)])
        delete_study(storage, "digits")
    assert proposals[0] == proposals[1]
    storage.close()


def test_a_split_of_its_own_for_every_search(sqlite_url: str) -> None:
    """Each validates on other images; what is known of the spread is then also of the split."""
    storage = create_storage(sqlite_url)
    confirm = {"top": 1, "seeds": 2, "vary": ["split"]}
    plan = study(searches=2, budget={"trials": 3}, vary_split=True, confirm=confirm)
    row = begin_study(storage, plan)
    work_here(storage)
    assert {"done"} == {cell.state for cell in cells_of(storage)}
    confirmed = [cell for cell in cells_of(storage) if (cell.arm, cell.phase) == ("grid", "confirm")]
    assert 4 == len(confirmed) == len({cell.metrics["test_loss"] for cell in confirmed}), "each seed has its own split"
    best = {search: plan.table_of("grid", {"lr.peak": 0.05}, search)["data"]["split_seed"] for search in (1, 2)}
    assert (best[1] != best[2] and row.data == storage.ledger.study("digits").data) or row.data is None
    printed = hpo(storage, "best", "digits", "--arm", "grid").output
    assert any(f"split_seed = {cell.seed}" in printed for cell in confirmed)
    assert any(f"init_seed = {plan.protocol.seed_of('init', search, 0)}" in printed for search in (1, 2))
    storage.close()


def test_what_another_tool_removes_of_a_search_is_made_again(sqlite_url: str) -> None:
    """Each search with its own trials."""
    storage = create_storage(sqlite_url)
    plan = study(searches=2, budget={"trials": 3})
    begin_study(storage, plan)
    work_here(storage)
    before = [(trial.number, trial.params, trial.value) for trial in optuna_trials(sqlite_url, plan)]
    optuna.delete_study(study_name="digits/tpe/search-2", storage=sqlite_url)
    assert ["digits/tpe/search-2"] == [repaired.name for repaired in repair_study(storage, "digits")]
    assert before == [(trial.number, trial.params, trial.value) for trial in optuna_trials(sqlite_url, plan)]
    storage.close()


def test_an_export_says_which_search(sqlite_url: str, tmp_path: Path) -> None:
    """In both tables."""
    storage = create_storage(sqlite_url)
    begin_study(storage, study(searches=2, budget={"trials": 3}))
    work_here(storage)
    assert 0 == hpo(storage, "export", "digits", "-o", str(tmp_path)).exit_code
    for kind in ("trials", "curves"):
        head, *rows = (tmp_path / f"digits-{kind}.csv").read_text().splitlines()
        place = head.split(",").index("search")
        assert {"1", "2"} == {row.split(",")[place] for row in rows}
    storage.close()


DESIGN = {"seeds": 2, "most": 6, "until": "decided"}


def test_seeds_until_it_is_decided(storage_url: str, tmp_path: Path) -> None:
    """Two arms that are the same get all the seeds there may be; workers plan each batch when the last one is done."""
    storage = create_storage(storage_url)
    begin_study(storage, study(budget={"trials": 3}, confirm=DESIGN, seed=3))
    crew = Crew(storage_url, tmp_path)
    try:
        crew.start(2)
        crew.wait()
    finally:
        crew.kill()
    report = verdict(storage, "digits")
    [claim] = report.claims
    seeds = {arm.name: arm.confirm.finished for arm in report.arms}
    assert seeds["tpe"] == seeds["grid"] and seeds["tpe"] in (4, 6)
    assert claim.verdict != "undecided" or 6 == seeds["tpe"]
    assert "finished" == storage.ledger.study("digits").state and () == report.unfinished
    storage.close()


def test_a_declared_design_may_be_extended(sqlite_url: str) -> None:
    """Its most grows, and the undecided claim goes on; without a design, seeds are a study of their own."""
    storage = create_storage(sqlite_url)
    same = study(budget={"trials": 3}, confirm=DESIGN, seed=1)
    arms = {name: {"search": {"lr.peak": {"values": [0.05]}}} for name in ("tpe", "grid")}
    same = parse(json.loads(same.model_dump_json()) | {"arms": arms})
    begin_study(storage, same)
    work_here(storage)
    assert 6 == verdict(storage, "digits").arms[0].confirm.finished
    done = hpo(storage, "extend", "digits", "--seeds=3")
    assert 0 == done.exit_code, done.output
    assert 9 == find_study(storage, "digits")[1].protocol.confirm.most  # type: ignore[union-attr]
    work_here(storage)
    assert [9, 9] == [arm.confirm.finished for arm in verdict(storage, "digits").arms]
    storage.close()


def test_seeds_are_not_added_to_a_test_that_counts_on_their_number(sqlite_url: str) -> None:
    """It is refused, nothing is lost, and the error says what to do."""
    storage = create_storage(sqlite_url)
    begin_study(storage, study(budget={"trials": 3}, confirm={"seeds": 2}))
    refused = hpo(storage, "extend", "digits", "--seeds=3")
    assert 2 == refused.exit_code
    for part in ("was launched with 2 seeds", "protocol.seed=1", 'until = "decided"'):
        assert part in refused.output
    assert 2 == find_study(storage, "digits")[1].protocol.confirm.seeds  # type: ignore[union-attr]
    storage.close()


def test_more_than_a_study_may_have_is_refused(sqlite_url: str) -> None:
    """Before it is stored: what can't be read again would be lost."""
    storage = create_storage(sqlite_url)
    begin_study(storage, study(budget={"trials": 3}, confirm=DESIGN))
    refused = hpo(storage, "extend", "digits", "--seeds=2000")
    assert 2 == refused.exit_code and "protocol.confirm.most" in refused.output and "1000" in refused.output
    assert 6 == find_study(storage, "digits")[1].protocol.confirm.most  # type: ignore[union-attr]
    storage.close()


def test_a_study_of_a_version_that_counted_seeds(sqlite_url: str) -> None:
    """It goes on as it was planned: with the seeds that its other arms have, and by its old file."""
    storage = create_storage(sqlite_url)
    plan = study(budget={"trials": 3}, confirm={"seeds": 2}, seed=5)
    counted = parse(json.loads(plan.model_dump_json()) | {"protocol": {"seeding": "counted", **_protocol(plan)}})
    row = begin_study(storage, counted)
    table = json.loads(storage.ledger.study("digits").spec)
    del table["protocol"]["seeding"], table["protocol"]["searches"]
    storage.ledger.correct_study(row.id, json.dumps(table))
    assert row.id == begin_study(storage, plan).id
    work_here(storage)
    assert {5, 1005, 1006} == {cell.seed for cell in cells_of(storage)}
    storage.close()


def _protocol(plan: StudySpec) -> dict[str, Any]:
    given = json.loads(plan.protocol.model_dump_json())
    return {name: value for name, value in given.items() if name not in ("seeding", "searches")}


@pytest.mark.parametrize("setting", ["protocol.searches=0", "protocol.searches=101", "protocol.searches=x"])
def test_searches_that_are_none(setting: str, tmp_path: Path) -> None:
    """One clear error."""
    refused = CliRunner().invoke(cli, ["check", "studies/quickstart.toml", "--set", setting])
    assert 2 == refused.exit_code and "protocol.searches" in refused.output
