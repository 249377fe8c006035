"""What a worker knows of the studies it works on.

A worker may live for weeks, in which studies are deleted and others are launched under their names and, on SQLite,
under their ids. So nothing is kept by a name or an id: a study is known by its uuid, which is never given again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hpo.errors import DataError, LeaseLost, StudyError, StudyFileError
from hpo.process import pulse
from hpo.search.parameters import point
from hpo.storage.optuna.trials import Trials
from hpo.storage.rows import Lease, StudyRow
from hpo.study import StudySpec, read_study
from hpo.trainers.target import check_code
from hpo.worker.prefix_plan import PrefixPlan
from hpo.worker.session import Session

MOST_KNOWN = 8
"""Studies that are kept in mind."""


@dataclass(frozen=True, slots=True)
class Study:
    """A study as a worker sees it."""

    spec: StudySpec
    trials: Trials
    prefix_plan: PrefixPlan
    """What its cells have in common."""


class Studies:
    """The studies that this worker has met last, by uuid, and the data that was seen to be theirs."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: dict[str, Study] = {}
        self._checked: set[tuple[str, str]] = set()

    def of(self, lease: Lease) -> Study:
        """The study of a leased cell.

        Raises:
            LeaseLost: it was deleted meanwhile.
            StudyError: this hpo can't read it.
            TargetError: code of the user's own has changed since this worker imported it.
        """
        known = self._known.pop(lease.study_uuid, None)
        self._known[lease.study_uuid] = known or self._read(lease)  # the latest comes last
        if len(self._known) > MOST_KNOWN:
            del self._known[next(iter(self._known))]
        return self._known[lease.study_uuid]

    def has_time_limit(self, uuid: str) -> bool:
        """Whether the search of an arm of a study that was met may take so many hours and no more."""
        known = self._known.get(uuid)
        if known is None:
            return False
        budgets = [known.spec.arm(name).budget for name in known.spec.arms]
        return any(budget is not None and budget.hours is not None for budget in budgets)

    def check_data(self, lease: Lease, config: Any) -> None:
        """See that what a trial would be trained on here is what the study began with.

        Raises:
            DataError: it is missing, or something else.
            pulse.Interrupted: the worker was asked to let go meanwhile.
        """
        spec = self.of(lease).spec
        with pulse.interruptible(self._session.heartbeat.asked_to_let_go):
            found = spec.trainer.identity(config, spec.trials, lease.study_uuid)
        if (lease.study_uuid, found.fingerprint) in self._checked:
            return
        if not self._session.ledger.same_data(lease.study_id, found.fingerprint):
            raise DataError(f"{found.what} differ from those that the study started with", hint=found.hint)
        self._checked.add((lease.study_uuid, found.fingerprint))

    def _read(self, lease: Lease) -> Study:
        row = self._session.ledger.study_of(lease.study_uuid)
        if row is None:
            raise LeaseLost("the study was deleted")
        check_code()
        spec = read_study(row.name, row.spec, row.hpo_version)
        _check_trials(spec, row)
        device = self._session.machine(spec.trainer).device
        prefix_plan = PrefixPlan(spec, lambda config: spec.trainer.prefixes(config, row.uuid, device))
        return Study(spec, Trials(self._session.storage, spec), prefix_plan)


def _check_trials(spec: StudySpec, row: StudyRow) -> None:
    """See that this hpo knows all parts of what is to be trained, which the study's own model does not look into."""
    for name, arm in spec.arms.items():
        try:
            spec.trial_of(name, point(arm.search, lambda _, searched: searched.examples()[0]))
        except StudyFileError as error:
            [first, *_] = str(error).splitlines()
            raise StudyError(
                f"the study {row.name!r} was planned by another version of hpo ({row.hpo_version}); this one "
                f"can't read it: {first}",
                hint=f"use version {row.hpo_version}",
            ) from None
