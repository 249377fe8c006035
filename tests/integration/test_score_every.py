"""A study that scores seldom comes to the results of one that scores after every epoch."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

from hpo.cli import cli
from hpo.search.space import merge
from hpo.service import begin_study, findings
from hpo.storage import Storage, create_storage
from hpo.storage.rows import Cell, CurvePoint
from hpo.study import StudySpec
from hpo.study.file import parse
from tests.integration.helpers import TRIAL, make_study, optuna_trials, work_here
from tests.integration.test_sharing import SCHEMES
from tests.integration.test_sharing import TRIAL as SHARED

PRUNED: dict[str, Any] = {
    "trial": {"regularizers": {"l2": {"policy": {"kind": "hold"}}}},
    "sampler": {"kind": "random"},
    "search": {"lr.peak": {"low": 0.001, "high": 0.5, "log": True}},
    "pruner": {"kind": "median", "startup": 2, "warmup": 2, "every": 3},
    "budget": {"trials": 8},
}
FEEDBACK: dict[str, Any] = {"search": {"lr.peak": {"values": [0.05, 0.1]}}}
CLAIM = {"arm": "pruned", "than": "other", "metric": "train_loss", "at": 0.4}
OTHER: dict[str, Any] = {"trial": {"regularizers": {"l2": {"policy": {"kind": "hold"}}}}}
CONFIRM: dict[str, Any] = {"confirm": {"seeds": 2}}


def ended(storage: Storage, name: str) -> list[tuple[Any, ...]]:
    cells = storage.ledger.cells(storage.ledger.study(name).id)
    return [(cell.arm, cell.phase, cell.params, cell.ended, cell.epochs, cell.score, cell.metrics) for cell in cells]


def curves(storage: Storage, name: str) -> list[tuple[Cell, list[CurvePoint]]]:
    ledger = storage.ledger
    return [(cell, ledger.curve(cell.id)) for cell in ledger.cells(ledger.study(name).id)]


def run(storage: Storage, study: StudySpec) -> None:
    begin_study(storage, study)
    work_here(storage)


def test_pruned_and_confirmed_as_ever(tmp_path: Any) -> None:
    """The same trials are pruned at the same epochs, Optuna has the same values, and reports can be made."""
    arms = {"pruned": PRUNED, "feedback": FEEDBACK, "other": OTHER}
    claims = [{"text": "pruned is better by then", "less": CLAIM}]
    urls = []
    for every in (1, 5):
        trial = merge(TRIAL, {"epochs": 11, "score_every": every})
        table = {"name": "s", "trial": trial, "protocol": CONFIRM, "arms": arms, "claims": claims}
        urls.append(f"sqlite:///{tmp_path}/{every}.db")
        storage = create_storage(urls[-1])
        run(storage, parse(table))
        storage.close()
    often, seldom = map(create_storage, urls)
    assert ended(often, "s") == ended(seldom, "s")
    assert {"pruned", "finished"} <= {row[3] for row in ended(seldom, "s")}

    spec = findings(seldom, "s").study
    told = [[trial.intermediate_values for trial in optuna_trials(url, spec)] for url in urls]
    for many, few in zip(*told, strict=True):
        assert few.items() <= many.items()
    for cell, points in curves(seldom, "s"):
        assert list(range(1, cell.epochs + 1)) == [point.at for point in points], "train and times of every epoch"
        known = {point.at for point in points if "validation_accuracy" in point.metrics}
        if cell.arm == "feedback":
            assert set(range(1, cell.epochs + 1)) == known, "it looks at every gap"
        else:
            looked_at = {4, 5, 10, cell.epochs}  # 4: the claim is about two fifths of 11 epochs
            if (cell.arm, cell.phase) == ("pruned", "search"):
                looked_at |= {2, 5, 8, 11}
            assert looked_at & set(range(1, cell.epochs + 1)) == known
    often.close(), seldom.close()

    for words in (
        ["report", "s", "--full", "-o", str(tmp_path / "page")],
        ["export", "s", "-o", str(tmp_path / "tables")],
    ):
        done = CliRunner().invoke(cli, words, env={"HPO_STORAGE": urls[1], "COLUMNS": "200"})
        assert 0 == done.exit_code, done.output
        if words[0] == "report":
            assert "Scored: every 5 epochs" in done.stdout


@pytest.mark.parametrize("every", [1, 4])
def test_shared_beginnings(every: int, tmp_path: Any) -> None:
    """Schemes that go on from an epoch that was not scored end as they would have by themselves."""
    results = []
    for shares in (True, False):
        storage = create_storage(f"sqlite:///{tmp_path}/{shares}.db")
        study = make_study(SCHEMES, "s", SHARED | {"score_every": every}, **CONFIRM, share_prefixes=shares)
        run(storage, study)
        results.append(ended(storage, "s"))
        storage.close()
    assert results[0] == results[1]
