"""`hpo best`: the trial that won can be taken into a file of one's own."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from hpo.cli import cli
from hpo.service import begin_study, verdict
from hpo.storage import Storage, open_storage
from hpo.study import parse_trial
from tests.integration.helpers import make_study, work_here

ARMS = {
    "low": {"search": {"lr.peak": {"values": [0.0001, 0.0003]}}},
    "high": {"trial": {"batch_size": 16}, "search": {"lr.peak": {"values": [0.03, 0.1]}}},
}


@pytest.fixture
def storage(sqlite_url: str) -> Iterator[Storage]:
    """An open SQLite storage with a study that is planned."""
    opened = open_storage(sqlite_url)
    begin_study(opened, make_study(ARMS, confirm={"seeds": 3}))
    yield opened
    opened.close()


def best(storage: Storage, *arguments: str) -> Result:
    """The command in this process."""
    url = storage.url.render_as_string(hide_password=False)
    return CliRunner().invoke(cli, ["best", "digits", *arguments], env={"HPO_STORAGE": url})


def test_the_winner(storage: Storage) -> None:
    """Of the better arm, or of the one that is named: a whole trial, with what it reached in comments."""
    work_here(storage)
    arms = {arm.name: arm for arm in verdict(storage, "digits").arms}
    assert arms["high"].validation.mean > arms["low"].validation.mean  # type: ignore[union-attr]
    for options, name in (((), "high"), (("--arm=low",), "low")):
        done = best(storage, *options)
        assert 0 == done.exit_code, done.output
        trial = tomllib.loads(done.stdout)["trial"]
        assert arms[name].configuration == {"lr.peak": trial["lr"]["peak"]}
        assert (16 if name == "high" else trial["batch_size"]) == parse_trial(trial, "trial").batch_size
        assert f"# the best trial of digits, arm {name}\n# validation accuracy: " in done.stdout
        assert f"# test accuracy: {100 * arms[name].test.mean:.2f} ± " in done.stdout  # type: ignore[union-attr]
        assert "(3 seeds)" in done.stdout
        found = json.loads(best(storage, *options, "--json").stdout)
        assert (name, trial) == (found["arm"], found["trial"])
        assert arms[name].test.mean == found["reached"]["test_accuracy"]["mean"]  # type: ignore[union-attr]


def test_there_is_none(storage: Storage) -> None:
    """Nothing has finished, or there is no such arm: one message, exit code 2."""
    for options, said in (((), "no configuration of low has finished"), (("--arm=hihg",), "did you mean 'high'?")):
        done = best(storage, *options)
        assert (2, True) == (done.exit_code, said in done.stderr), done.stderr
