"""What a worker knows of the studies it works on.

A worker may live for weeks, in which studies are deleted and others are launched under their names and, on SQLite,
under their ids. So nothing is kept by a name or an id: a study is known by its uuid, which is never given again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hpo import pulse
from hpo.errors import DataError, LeaseLost, StudyError, StudyFileError
from hpo.parameters import point
from hpo.storage.rows import Lease, StudyRow
from hpo.storage.trials import Trials
from hpo.study import StudySpec, read_study
from hpo.train.data import cache
from hpo.train.data.images import Splits
from hpo.train.target import check_code
from hpo.train.trial import TrialSpec
from hpo.worker.session import Session
from hpo.worker.sharing import Sharing

MOST_KNOWN = 8
"""Studies that are kept in mind."""


@dataclass(frozen=True, slots=True)
class Study:
    """A study as a worker sees it."""

    spec: StudySpec
    trials: Trials
    _sharing: dict[int, Sharing] = field(default_factory=dict)

    def sharing(self, images: int) -> Sharing:
        """What its cells have in common, on so many training images."""
        return self._sharing.setdefault(images, Sharing(self.spec, images))


class Studies:
    """The studies that this worker has met last, by uuid, and the images that were seen to be theirs."""

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
        budgets = [known.spec.protocol.budget, *(arm.budget for arm in known.spec.arms.values())]
        return any(budget is not None and budget.hours is not None for budget in budgets)

    def splits(self, lease: Lease, trial: TrialSpec, with_test: bool) -> Splits:
        """The images of a trial, on the worker's device.

        Raises:
            DataError: they are missing, or not those that the study began with.
            pulse.Interrupted: the worker was asked to let go meanwhile.
        """
        with pulse.interruptible(self._session.heartbeat.asked_to_let_go):
            dataset = cache.load(trial.data, lease.study_uuid)
            self._check(lease, dataset.fingerprint, trial.data.kind)
            return cache.splits(trial.data, with_test, self._session.device, lease.study_uuid)

    def _check(self, lease: Lease, fingerprint: str, kind: str) -> None:
        if (lease.study_uuid, fingerprint) in self._checked:
            return
        if not self._session.ledger.same_data(lease.study_id, fingerprint):
            raise DataError(
                f"the {kind} images on this machine are not those that the study began with",
                hint="copy the data from a machine that works on the study, or start a new study; "
                "if this machine has the right ones: hpo accept-images STUDY",
            )
        self._checked.add((lease.study_uuid, fingerprint))

    def _read(self, lease: Lease) -> Study:
        row = self._session.ledger.study_of(lease.study_uuid)
        if row is None:
            raise LeaseLost("the study was deleted")
        check_code()
        spec = read_study(row.name, row.spec, row.hpo_version)
        _check_trials(spec, row)
        return Study(spec, Trials(self._session.storage, spec))


def _check_trials(spec: StudySpec, row: StudyRow) -> None:
    """See that this hpo knows all parts of what is to be trained, which the study's own model does not look into."""
    for name, arm in spec.arms.items():
        try:
            spec.trial_of(name, point(arm.search, lambda _, searched: searched.examples()[0]))
        except StudyFileError as error:
            [first, *_] = str(error).splitlines()
            raise StudyError(
                f"the study {row.name!r} was planned by another version of hpo ({row.hpo_version}), unreadable by "
                f"this one: {first}",
                hint="use the version that planned it",
            ) from None
