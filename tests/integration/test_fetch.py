"""`hpo fetch`: the weights of the winner, in a file with which images can be classified."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

import hpo
from hpo.cli import cli
from hpo.errors import CheckpointError
from hpo.service import begin_study, delete_study, verdict
from hpo.storage import Storage, open_storage
from hpo.study import StudySpec, parse_trial
from hpo.trainers.images.data.digits import Digits
from tests.integration.helpers import make_study, work_here

STUDY = make_study(
    {"slow": {"search": {"lr.peak": {"values": [0.001]}}}, "fast": {"search": {"lr.peak": {"values": [0.03, 0.1]}}}},
    confirm={"seeds": 2},
    keep_weights=True,
)
SECOND = STUDY.protocol.seed_of("confirm", 1, 1)


def run(storage: Storage, *arguments: str) -> Result:
    """The command in this process."""
    url = storage.url.render_as_string(hide_password=False)
    return CliRunner().invoke(cli, [*arguments], env={"HPO_STORAGE": url})


def done(storage: Storage, study: StudySpec = STUDY) -> Storage:
    """With the study run to its end."""
    begin_study(storage, study)
    work_here(storage)
    return storage


@pytest.mark.parametrize("largest_whole", [256 << 10, 100], ids=["in a row", "in parts"])
def test_the_weights(storage_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, largest_whole: int) -> None:
    """The net in the file classifies the test images exactly as the study has measured it."""
    monkeypatch.setattr("hpo.storage.checkpoints.LARGEST_WHOLE", largest_whole)
    storage = done(open_storage(storage_url))
    file = tmp_path / "net.pt"
    fetched = run(storage, "fetch", STUDY.name, "-o", str(file))
    assert 0 == fetched.exit_code, fetched.output
    net = hpo.load_net(file)
    assert (STUDY.name, "fast") == (net.about["study"], net.about["arm"])
    best = verdict(storage, STUDY.name).arms[1]
    assert best.configuration == {"lr.peak": net.about["trial"]["lr"]["peak"]}
    test = Digits.model_validate(parse_trial(net.about["trial"], "trial").data.model_dump()).load().test
    with torch.no_grad():
        right = net(test.inputs).argmax(dim=1) == test.labels
    measured = best.values["test_accuracy"][net.about["seed"]]
    assert measured == right.double().mean().item() == net.about["metrics"]["test_accuracy"]
    assert torch.load(file, weights_only=True)["trial"] == net.about["trial"]
    storage.close()


def test_of_another_arm_and_seed(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As they are named; a file that is there stays unless --force; with the study the weights go."""
    monkeypatch.chdir(tmp_path)
    storage = done(open_storage(sqlite_url))
    arguments = ("fetch", STUDY.name, "--arm=slow", f"--seed={SECOND}")
    assert 0 == run(storage, *arguments).exit_code
    net = hpo.load_net(f"{STUDY.name}-slow.pt")
    assert ("slow", SECOND) == (net.about["arm"], net.about["seed"])
    again = run(storage, *arguments)
    assert (2, True) == (again.exit_code, "already exists" in again.stderr)
    assert 0 == run(storage, *arguments, "--force").exit_code
    delete_study(storage, STUDY.name)
    with storage.engine.connect() as connection:
        assert [(0,), (0,)] == [
            connection.exec_driver_sql(f"select count(*) from {table}").one()
            for table in ("hpo_checkpoint", "hpo_part")
        ]
    storage.close()


def test_kept_as_files(sqlite_url: str, tmp_path: Path) -> None:
    """Where checkpoints are kept, which `hpo clean` leaves there; without the URL one message says where they are."""
    from threading import Event

    from hpo.worker import WorkerOptions, work

    storage, files = open_storage(sqlite_url), tmp_path / "checkpoints"
    begin_study(storage, STUDY)
    work(storage, [], WorkerOptions(device="cpu", checkpoints_url=str(files)), Event())
    assert 0 == run(storage, "clean", "--checkpoints", str(files)).exit_code
    assert 2 * 2 == len(list(files.rglob("*.pt")))
    without = run(storage, "fetch", STUDY.name, "-o", str(tmp_path / "net.pt"))
    assert "the checkpoint is not in the database" in without.stderr and "Traceback" not in without.stderr
    assert not (tmp_path / "net.pt").exists()
    file = tmp_path / "net.pt"
    assert 0 == run(storage, "fetch", STUDY.name, "-o", str(file), "--checkpoints", str(files)).exit_code
    assert "fast" == hpo.load_net(file).about["arm"]
    storage.close()


def test_what_can_t_be(sqlite_url: str, tmp_path: Path) -> None:
    """Nothing was kept, there is no such seed, or the file is another one: one message that says what to do."""
    storage = done(open_storage(sqlite_url), make_study(confirm={"seeds": 1}))
    for options, said in (([], "set keep_weights = true in [protocol]"), (["--seed=7"], "has no confirm seed 7")):
        failed = run(storage, "fetch", "digits", "-o", str(tmp_path / "net.pt"), *options)
        assert (2, True) == (failed.exit_code, said in failed.stderr), failed.stderr
    (tmp_path / "other.pt").write_bytes(b"PK")
    with pytest.raises(CheckpointError, match="can't be read"):
        hpo.load_net(tmp_path / "other.pt")
    storage.close()
