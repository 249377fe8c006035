"""`hpo status STUDY --time`, of a study that was trained for real, and of one that has lost a worker."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from hpo.cli import cli
from hpo.service import begin_study
from hpo.storage import open_storage
from hpo.trainers.trainer import Evaluation
from hpo.worker.spent import Spent, in_vain
from tests.integration.helpers import make_study, work_here


def status(url: str, *options: str) -> Result:
    return CliRunner().invoke(cli, ["status", *options], env={"HPO_STORAGE": url, "COLUMNS": "80"})


def test_of_a_study_that_was_trained(storage_url: str) -> None:
    """Everything is known of it, it is within the worker's life, and it fits a terminal."""
    storage = open_storage(storage_url)
    study = make_study({"one": {}, "other": {}}, confirm={"seeds": 2})
    begin_study(storage, study)
    work_here(storage)
    storage.close()

    shown = status(storage_url, study.name, "--time")
    assert 0 == shown.exit_code, shown.output
    lines = shown.stdout.splitlines()
    assert lines[0].startswith(f"{study.name}: where ")
    assert ["arm", "s/epoch", "training", "scoring", "starting", "storing", "repeated"] == lines[1].split()
    assert ["one", "other", "all"] == [line.split()[0] for line in lines[2:5]]
    assert lines[5].startswith("1 worker, ")
    assert max(map(len, lines)) <= 80

    found = json.loads(status(storage_url, study.name, "--time", "--json").stdout)
    whole = found["all"]
    assert 0 == whole["scoring_unknown"] < whole["units"]
    assert min(whole["training"], whole["scoring"], whole["starting"]) > 0
    assert 0 == whole["repeated"]
    spent = sum(whole[part] for part in ("training", "scoring", "starting", "storing"))
    assert spent + found["waiting"] == pytest.approx(found["lifetime"])


def test_of_a_worker_that_disappeared(storage_url: str) -> None:
    """What it had trained since its last checkpoint is told by whoever trains it again."""
    storage = open_storage(storage_url)
    study = make_study({"one": {}})
    begin_study(storage, study)
    for name in ("gone", "next"):
        storage.ledger.register(name, name, 1, "CPU", {})
    lost = storage.ledger.claim("gone", 60.0)
    assert lost is not None
    storage.ledger.record(lost, [Evaluation(1, 2.0, {}), Evaluation(2, 3.0, {"seconds.starting": 1.0})], 60.0)
    storage.ledger.release(lost)
    lease = storage.ledger.claim("next", 60.0)
    assert lease is not None
    repeated = in_vain(storage.ledger.curve(lease.cell.id), 2)
    told = Spent(0.0).told(Evaluation(2, 1e12, {"seconds.scoring": 1.0}), repeated)
    storage.ledger.record(lease, [Evaluation(2, 3.0, told.metrics)], 60.0)
    storage.close()

    found = json.loads(status(storage_url, study.name, "--time", "--json").stdout)["arms"]["one"]
    assert (2, 4.0, 4.0, 1.0, 1) == (
        found["units"],
        found["repeated"],
        found["training"],
        found["scoring"],
        found["scoring_unknown"],
    )
    shown = status(storage_url, study.name, "--time").stdout
    assert "of 1 epoch training and scoring are not known apart, and count as training" in shown
    assert "repeated took up to 44 % of the time of one" in shown


@pytest.mark.parametrize("options", [("--time",), ("lean", "--time", "--watch")])
def test_of_no_study_in_particular(storage_url: str, options: tuple[str, ...]) -> None:
    """It is about one, as it is now."""
    refused = status(storage_url, *options)
    assert 2 == refused.exit_code
    assert "error: --time is about one study" in refused.stderr
    assert "hint: hpo status STUDY --time" in refused.stderr


def test_of_a_study_that_has_not_begun(storage_url: str) -> None:
    """There is nothing to show, which is said."""
    storage = open_storage(storage_url)
    begin_study(storage, make_study({"one": {}}, "lean"))
    storage.close()
    shown = status(storage_url, "lean", "--time")
    assert (0, "lean: no epoch was trained yet\n") == (shown.exit_code, shown.stdout)
