"""What follows from a trial that raised: whose fault it was decides what becomes of its cell."""

from __future__ import annotations

import errno
import logging
import re
import traceback

from hpo.errors import MachineError, SickMachine
from hpo.storage.rows import Lease
from hpo.words.failure import cause
from hpo.worker.session import Session
from hpo.worker.studies import Study

log = logging.getLogger(__name__)

MOST_DEVICE_FAILURES = 2
"""The most failures in a row: after the first the trial is tried once more."""
OF_THE_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE)
"""Errors of the file system of which a trial is innocent."""
DIGITS = re.compile(r"\d+")


def failed(session: Session, study: Study, lease: Lease, error: Exception) -> None:
    """Give the cell back, or set it aside, after `error` was raised in its trial.

    Raises:
        MachineError: this machine can't train it; the cell is still held.
        SickMachine: this machine had better train nothing; the cell is given back.
    """
    if isinstance(error, OSError) and error.errno in OF_THE_MACHINE:
        raise MachineError(f"{error.filename or 'a file'}: {error.strerror}") from error
    text = "".join(traceback.format_exception(error))
    reason = cause(text)
    machine = session.machine(study.spec.trainer)
    if machine.is_to_blame(error):
        _of_the_device(session, lease, reason)
        return
    session.health.raised(lease.study_uuid, lease.cell.id, reason)
    log.error("trial %d raised\n%s", lease.cell.id, text)
    if _is_sick(session, lease, reason):
        session.ledger.release(lease, reason=reason)
        raise SickMachine(
            f"{len(session.health.in_a_row(lease.study_uuid))} trials in a row raised on this machine before their "
            f"first epoch, while other workers train theirs: {reason}",
            hint="compare this machine with the others: hpo nodes",
        )
    _of_the_trial(session, study, lease, text, reason)
    machine.recover()
    _stop_a_study_of_failures(session, lease)


def point_failed(session: Session, lease: Lease, reason: str) -> None:
    """A point of the search has failed for good; if it is so with the first ones, it is so with all of the study."""
    session.health.raised(lease.study_uuid, lease.cell.id, reason)
    _stop_a_study_of_failures(session, lease)


def _of_the_device(session: Session, lease: Lease, reason: str) -> None:
    session.health.device_failures += 1
    session.ledger.release(lease, reason=reason)
    log.error("trial %d: given back, because the device failed: %s", lease.cell.id, reason)
    if session.health.device_failures >= MOST_DEVICE_FAILURES:
        raise SickMachine(
            f"the device has failed {session.health.device_failures} times in a row: {reason}",
            hint="check with nvidia-smi what else uses it, and whether it is faulty",
        )


def _is_sick(session: Session, lease: Lease, reason: str) -> bool:
    """Whether trials raise here, one after the other, while other workers train those of the same study."""
    if not session.health.in_a_row(lease.study_uuid):
        return False
    return session.ledger.trained_elsewhere(lease.study_id, session.worker_id)


def _of_the_trial(session: Session, study: Study, lease: Lease, text: str, reason: str) -> None:
    cell, most = lease.cell, study.spec.protocol.attempts
    if cell.attempts < most:
        session.ledger.retry_later(lease, text, reason)
        log.error("trial %d: attempt %d of %d failed; it will be tried again", cell.id, cell.attempts, most)
    elif _says_something_of_the_trial(session, lease):
        session.ledger.fail(lease, text, reason, study.trials.failure(lease))
        session.checkpoints.forget(lease)
        log.error("trial %d: set aside as failed: %s", cell.id, reason)
    else:
        session.health.leave_to_others(cell.id)
        session.ledger.retry_later(lease, text, reason, counted=False)
        log.error("trial %d: attempt %d of %d failed; it is left to other workers", cell.id, cell.attempts, most)


def _says_something_of_the_trial(session: Session, lease: Lease) -> bool:
    """Whether the failures are the trial's, as far as can be known, and not this machine's."""
    cell, health = lease.cell, session.health
    if cell.failed_by not in (None, session.worker_id):
        return True
    if health.has_finished_one_since(lease.study_uuid, cell.id) or health.has_left_to_others(cell.id):
        return True
    return not session.ledger.others_alive(session.worker_id)


def _stop_a_study_of_failures(session: Session, lease: Lease) -> None:
    """Stop the study whose first trials all raise the same, on more than this worker if there are more."""
    row = session.health.in_a_row(lease.study_uuid)
    if not row or len({DIGITS.sub("", reason) for reason in row}) > 1:
        return
    alone = not session.ledger.others_alive(session.worker_id)
    if not alone and not session.ledger.failed_elsewhere(lease.study_id, session.worker_id):
        return
    if session.ledger.fail_study(lease.study_id, f"its first trials all failed: {row[-1]}"):
        log.error("the study is stopped: its first %d trials have all raised the same exception", len(row))
