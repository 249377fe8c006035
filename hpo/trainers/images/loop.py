"""The training loop: `fit` trains one trial and knows nothing of search or storage.

Its links outward are three callables: `report`, told of every epoch, answers whether to go on; `interrupted`, asked
before every optimizer step, says whether to stop here and hand back a checkpoint; `looks_at`, asked at the end of an
epoch, whether its score on validation is looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from hpo.process import pulse
from hpo.trainers.images.data.images import Splits
from hpo.trainers.images.evaluation import Evaluation
from hpo.trainers.images.run import Run
from hpo.trainers.images.trial import TrialSpec
from hpo.trainers.moving.clock import Score


class Decision(Enum):
    """The answer to a report."""

    CONTINUE = "continue"
    PRUNE = "prune"


class Ended(Enum):
    """How a trial ended."""

    FINISHED = "finished"
    PRUNED = "pruned"
    DIVERGED = "diverged"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of `fit`."""

    ended: Ended
    epochs: int
    """Whole epochs trained, those before a resume included."""
    validation: Score | None = None
    """The score of the net as it is in the end; None when that was not scored."""
    test: Score | None = None
    """Only of a finished trial that was given a test set."""
    checkpoint: bytes | None = None
    """Only of an interrupted trial: where to go on."""
    weights: bytes | None = None
    """Only of a finished trial of which they are asked for; see `Run.weights`."""


Report = Callable[[Evaluation, Callable[[], bytes]], Decision]
"""(evaluation, a function that makes a checkpoint of this moment) -> whether to go on."""


def fit(
    trial: TrialSpec,
    seed: int,
    splits: Splits,
    report: Report,
    *,
    resume: bytes | None = None,
    interrupted: Callable[[], bool] = lambda: False,
    looks_at: Callable[[int], bool] = lambda epoch: False,
    keep_weights: bool = False,
) -> Outcome:
    """Train `trial` with `seed` on the device that `splits` lie on.

    On a CPU with a fixed number of threads the result depends on (trial, seed, splits) alone, however often training
    was interrupted and resumed.

    Raises:
        CheckpointError: `resume` is damaged, of another version or of another trial.
        StudyFileError: the trial names a part that its model does not have.
    """
    run = Run(trial, seed, splits)
    if resume is not None:
        run.restore(resume)
    while not run.complete and not run.diverged:
        pulse.beat()  # a mark for every step: the trial makes progress
        if interrupted():
            kept = run.checkpoint()
            return Outcome(Ended.INTERRUPTED, run.clock.epoch, run.validation, checkpoint=kept)
        run.step()
        if run.clock.at_epoch_end:
            evaluation = run.evaluate(looked_at=looks_at(run.clock.epoch))
            decision = report(evaluation, run.checkpoint)
            if decision is Decision.PRUNE and not run.diverged and not run.complete:
                return Outcome(Ended.PRUNED, run.clock.epoch, run.validation)
    if run.diverged:
        return Outcome(Ended.DIVERGED, run.clock.epoch, run.validation)
    run.put_back_best()
    test = run.score(splits.test) if splits.test is not None else None
    weights = run.weights() if keep_weights else None
    return Outcome(Ended.FINISHED, run.clock.epoch, run.validation, test, weights=weights)
