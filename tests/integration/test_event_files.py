"""A program that is left as it is and writes TensorBoard's event files: they are its reports."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from hpo.service import begin_study
from hpo.storage import open_storage
from hpo.study.file import parse
from hpo.trainers.program.event_files import EventFiles
from tests.integration.helpers import work_here

SCRIPT = """
import sys
from torch.utils.tensorboard import SummaryWriter

folder, lr = sys.argv[1], float(sys.argv[2])
writer = SummaryWriter(folder + "/runs")
for step in range(1, 41):
    writer.add_scalar("train/loss", 1 / step, step)
    if step % 10 == 0:
        writer.add_scalar("val/loss", lr / step, step)
        writer.add_scalar("val/images_seen", 64.0 * step, step)
writer.close()
"""
TAGS = {"validation_loss": "val/loss", "train_loss": "train/loss"}


def test_what_a_program_writes_for_tensorboard(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step with all tags is a report; what else it writes is passed over."""
    (tmp_path / "train.py").write_text(SCRIPT)
    monkeypatch.setenv("HPO_PROGRAMS", sys.executable)
    trial = {
        "program": f"{sys.executable} {tmp_path / 'train.py'} {{dir}} {{lr}}",
        "length": {"epochs": 4},
        "metric": {"name": "loss"},
        "reports": {"tensorboard": "runs", "tags": TAGS},
        "values": {"lr": 0.5},
    }
    storage = open_storage(sqlite_url)
    row = begin_study(storage, parse({"name": "shown", "trial": trial, "arms": {"a": {}}}))
    work_here(storage)
    [cell] = storage.ledger.cells(row.id)
    assert ("finished", 4) == (cell.ended, cell.epochs), cell.error
    curve = [point.metrics for point in storage.ledger.curve(cell.id)]
    assert [pytest.approx(0.5 / step) for step in (10, 20, 30, 40)] == [each["validation_loss"] for each in curve]
    assert [pytest.approx(1 / step) for step in (10, 20, 30, 40)] == [each["train_loss"] for each in curve]
    storage.close()


def test_half_a_record_waits_for_its_end(tmp_path: Path) -> None:
    """The files are looked at while the program writes to them, and there may be several."""
    whole = tmp_path / "whole"
    for number, name in enumerate(("first", "second")):
        writer = EventFileWriter(str(whole / name))
        for step in (2 * number + 1, 2 * number + 2):
            values = [Summary.Value(tag=tag, simple_value=step / 10) for tag in TAGS.values()]
            writer.add_event(Event(step=step, summary=Summary(value=values)))
        writer.close()
    seen = EventFiles(tmp_path / "runs", TAGS)
    assert [] == seen.new(False)
    found = []
    for file in sorted(whole.rglob("*tfevents*")):
        content, grown = file.read_bytes(), tmp_path / "runs" / file.parent.name / file.name
        grown.parent.mkdir(parents=True)
        for end in (len(content) // 2, len(content) - 3, len(content)):
            grown.write_bytes(content[:end])
            found += seen.new(False)
    assert [1.0, 2.0, 3.0, 4.0] == [report["at"] for report in found]
    assert [pytest.approx(step / 10) for step in (1, 2, 3, 4)] == [report["validation_loss"] for report in found]
    assert [] == seen.new(True)
