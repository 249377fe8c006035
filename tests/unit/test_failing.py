"""The last words on a study of which trials have failed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hpo.report.verdict.failing import failed_trials, not_done, trials_failed
from hpo.words.failure import if_the_file_was_wrong, what_to_do
from tests.unit.figure_samples import row, study
from tests.unit.report_samples import cell, search

TRACEBACK = """Traceback (most recent call last):
  File "/srv/hpo/worker/cell.py", line 80, in run_cell
    outcome = train()
  File "/home/me/mynet.py", line 12, in forward
    x = self.first(x)
RuntimeError: mat1 and mat2 shapes cannot be multiplied
"""
LOGS = Path("/tmp/hpo-s")


def test_the_cause_is_told_once_with_its_place() -> None:
    """All trials failed alike: how many of how many, the exception's line and place, the logs, and what to do."""
    cells = [cell("a", "search", slot, state="failed", error=TRACEBACK) for slot in range(6)]
    error = trials_failed("s", cells, LOGS)
    assert error is not None
    said = "mynet.py:12 in forward: RuntimeError: mat1 and mat2 shapes cannot be multiplied"
    assert f"6 of 6 trials failed: {said}" == str(error)
    again = "logs: /tmp/hpo-s; fix the cause, then: hpo retry s, and give the same command again"
    assert f"{again}; {if_the_file_was_wrong('s')}" == error.hint
    assert 1 == error.exit_code


def test_several_causes() -> None:
    """By frequency, each with its number; of many only the first are shown."""
    reasons = ["x", "y", "y", "z", "w"]
    cells = [cell("a", "search", slot, state="failed", reason=reason) for slot, reason in enumerate(reasons)]
    cells.append(search("a", 9, 0.5))
    assert "5 of 6 trials failed: y (2 times); x (1 time); and 2 other causes" == str(trials_failed("s", cells, LOGS))
    by_phase = [replace(cells[0], phase="confirm"), *cells[1:]]
    assert [
        "a: confirm phase, 1 of 1 trial failed: x",
        "a: search phase, 4 of 5 trials failed: y (2 times); z (1 time); and 1 other cause",
        what_to_do("s"),
    ] == list(failed_trials("s", by_phase))


def test_nothing_failed() -> None:
    """Then there is nothing to tell."""
    assert (None, []) == (trials_failed("s", [search("a", 0, 0.5)], LOGS), list(failed_trials("s", [])))


def test_a_study_that_was_not_done() -> None:
    """Stopped by a person: its work is left, exit code 4. Failed early: the cause, exit code 1."""
    running = row(study())
    stopped = not_done(replace(running, state="stopped"), LOGS)
    assert (4, "moving is stopped") == (stopped.exit_code, str(stopped))
    assert "hpo resume moving" in stopped.hint
    failed = not_done(replace(running, state="failed", reason="its first trials all failed: x"), LOGS)
    assert (1, "moving has failed: its first trials all failed: x") == (failed.exit_code, str(failed))
    assert "logs: /tmp/hpo-s; fix the cause, then: hpo retry moving" in failed.hint
