"""What the ledger should do: the rules of a study's cells, told a second time and as plainly as can be.

Each method is what one call of the ledger should change, if it changes anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from hpo.study.protocol import Protocol
from tests.integration.ledger_tables import (
    BUDGET,
    ENDED,
    EPOCHS,
    GRID,
    OPEN,
    POINTS,
    RANDOM,
    SEEDS,
    CellModel,
    Epochs,
    Planned,
    Tables,
    TrialModel,
)

SEED = Protocol().seed_of("search", 1, 0)
"""The seed of every trial of the search."""


class LedgerModel(Tables):
    """The study as it is planned and worked on."""

    # The plan

    def first_cells(self) -> list[Planned]:
        """The arms take turns."""
        grid = [Planned(GRID, "search", slot, SEED, {"lr.peak": peak}) for slot, peak in enumerate(POINTS)]
        random = [Planned(RANDOM, "search", slot, SEED, None) for slot in range(BUDGET // EPOCHS)]
        return [cell for pair in zip(grid, random, strict=True) for cell in pair]

    def add(self, planned: Sequence[Planned], ids: Sequence[int]) -> None:
        """Note the ids that the database gave."""
        for key, cell in zip(ids, planned, strict=True):
            self.cells[key] = CellModel(**asdict(cell))
            self.curves[key] = {}

    def advance(self) -> tuple[int, list[Planned]]:
        """Plan what follows; returns how many cells change, and those to be made."""
        was_open, changed = self.is_open(), 0
        added: list[Planned] = []
        for arm in (GRID, RANDOM):
            extra = self._saved_epochs(arm) // EPOCHS
            searched = len(self._of(arm, "search"))
            added += [Planned(arm, "search", searched + number, SEED, None) for number in range(extra)]
            chosen = None if extra else self._chosen(arm)
            confirmed = self._of(arm, "confirm")
            if chosen is not None and chosen not in [cell.params for cell in confirmed]:
                slot = len({cell.slot for cell in confirmed})
                added += [
                    Planned(arm, "confirm", slot, Protocol().seed_of("confirm", 1, seed), chosen)
                    for seed in range(SEEDS)
                ]
            for cell in confirmed:
                changed += self._withdraw_or_restore(cell, is_wanted=cell.params == chosen)
        changed += len(added)
        if not changed and not was_open and self.state == "running":
            self.state = "finished"
        return changed, added

    def _of(self, arm: str, phase: str) -> list[CellModel]:
        return [cell for cell in self.cells.values() if (cell.arm, cell.phase) == (arm, phase)]

    def _saved_epochs(self, arm: str) -> int:
        spent = [cell.epochs if cell.state == "done" else EPOCHS for cell in self._of(arm, "search")]
        return max(0, BUDGET - sum(spent)) if arm == RANDOM else 0

    def _chosen(self, arm: str) -> dict[str, Any] | None:
        """What the arm's search, once it is complete, has found."""
        searched = self._of(arm, "search")
        whole = [cell for cell in searched if cell.state == "done" and cell.ended == "finished"]
        if not whole or any(cell.state not in ENDED for cell in searched):
            return None
        return max(whole, key=lambda cell: cell.score or 0.0).params

    def _withdraw_or_restore(self, cell: CellModel, is_wanted: bool) -> int:
        if is_wanted and cell.state == "withdrawn":
            was_failed = "failed" if cell.has_finished else "planned"
            cell.state = "done" if cell.ended else was_failed
            self._set_open_trial(cell, "RUNNING")
            return 1
        if not is_wanted and cell.state not in ("withdrawn", "leased"):
            cell.state = "withdrawn"
            self._set_open_trial(cell, "WAITING")
            return 1
        return 0

    def _set_open_trial(self, cell: CellModel, state: str) -> None:
        trial = None if cell.trial is None else self.trials[cell.trial]
        if trial is not None and trial.state in ("RUNNING", "WAITING"):
            trial.state = state

    def retry_failed(self) -> int:
        failed = [key for key, cell in self.cells.items() if cell.state == "failed"]
        for key in failed:
            cell = self.cells[key]
            cell.state, cell.attempts, cell.trial = "planned", 0, None
            cell.epochs, cell.seconds = 0, 0.0
            cell.failed_by = cell.leader = cell.leader_epochs = None
            cell.has_started = cell.has_finished = False
            self.curves[key] = {}
            self.forget_shared(key)
        if self.state == "failed" or (failed and self.state == "finished"):
            self.state, self.reason = "running", None
        return len(failed)

    def forget_prefixes(self) -> bool:
        if self.is_open():
            return False
        for key in self.cells:
            self.forget_shared(key)
        return True

    # What a worker does

    def first_free(self) -> int | None:
        """The cell that is claimed next."""
        if self.state != "running":
            return None
        return next((key for key, cell in self.cells.items() if self._is_free(cell)), None)

    def _is_free(self, cell: CellModel) -> bool:
        if cell.state == "leased":
            return cell.run_out
        if cell.state != "planned" or cell.leader is None:
            return cell.state == "planned"
        leader = self.cells[cell.leader]
        return leader.state not in OPEN or leader.epochs >= (cell.leader_epochs or 0)

    def claim(self, key: int, worker: str, token: str, run_out: bool) -> None:
        cell = self.cells[key]
        cell.state, cell.worker, cell.token, cell.run_out = "leased", worker, token, run_out
        cell.attempts += 1
        cell.claims += 1
        cell.has_started = True

    def begin(self, key: int, optuna_study: str, params: dict[str, Any]) -> None:
        """The cell has a trial, the next of its Optuna study, if it had none."""
        cell = self.cells[key]
        cell.params = cell.params or params
        if cell.trial is None:
            number = sum(study == optuna_study for study, _ in self.trials)
            cell.trial = optuna_study, number
            self.trials[cell.trial] = TrialModel(key)

    def steps(self, key: int) -> set[int]:
        """What has been reported of the cell's trial."""
        trial = self.cells[key].trial
        assert trial is not None
        return self.trials[trial].steps

    def report(self, key: int, steps: Sequence[int]) -> None:
        self.steps(key).update(steps)

    def record(self, key: int, epochs: Epochs) -> None:
        cell, last = self.cells[key], epochs[-1][0]
        cell.run_out = False
        if last > cell.epochs:
            cell.epochs, cell.attempts, cell.failed_by = last, 0, None
        self._draw(key, epochs)

    def give_back(self, key: int, reason: str | None = None) -> None:
        """The cell is free again, and this was no attempt."""
        cell = self.cells[key]
        cell.state, cell.token, cell.run_out = "planned", None, False
        cell.attempts = max(cell.attempts - 1, 0)
        cell.reason = reason or cell.reason

    def wait(self, key: int, leader: int, epochs: int) -> None:
        self.give_back(key)
        self.cells[key].leader, self.cells[key].leader_epochs = leader, epochs

    def fork(self, key: int, place: tuple[int, int] | None) -> None:
        """Go on from another cell, or no longer."""
        cell = self.cells[key]
        cell.leader, cell.leader_epochs = place or (None, None)
        taken: Epochs = []
        if place is not None:
            leader, epochs = place
            cell.epochs = max(cell.epochs, epochs)
            taken = [(epoch, self.curves[leader][epoch]) for epoch in range(1, epochs + 1)]
        self._draw(key, taken)

    def raised(self, key: int, error: str, counted: bool) -> None:
        """The cell is free again; whether this was an attempt is said."""
        cell = self.cells[key]
        attempts = cell.attempts
        self.give_back(key, error)
        cell.attempts = attempts if counted else cell.attempts
        cell.error, cell.failed_by = error, cell.failed_by or cell.worker

    def fail(self, key: int, error: str) -> None:
        cell = self.cells[key]
        cell.error = cell.reason = error
        cell.token = None
        self._end(key, "failed", "FAIL")

    def finish(self, key: int, ended: str, score: float, epochs: Epochs) -> None:
        cell = self.cells[key]
        cell.ended, cell.score = ended, score
        cell.error = cell.reason = cell.failed_by = None
        if epochs:
            cell.epochs = max(cell.epochs, epochs[-1][0])
        self._draw(key, epochs)
        self._end(key, "done", "PRUNED" if ended == "pruned" else "COMPLETE")

    def _end(self, key: int, state: str, trial_state: str) -> None:
        cell = self.cells[key]
        cell.state, cell.run_out, cell.has_finished = state, False, True
        if cell.trial is not None:
            self.trials[cell.trial].state = trial_state
        self.checkpoints.pop(key, None)
        self.forget_parts(key, "last-")

    def _draw(self, key: int, epochs: Epochs) -> None:
        """Add to a cell's curve; what the cell took is the sum of it, but for what another cell has trained for it."""
        self.curves[key].update(epochs)
        led = self.cells[key].leader_epochs or 0
        self.cells[key].seconds = sum(seconds for epoch, seconds in self.curves[key].items() if epoch > led)
