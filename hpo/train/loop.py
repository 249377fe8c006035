"""The training loop: `fit` trains one trial and knows nothing of search or storage.

Its links outward are two callables: `report`, told of every epoch, answers whether to go on; `interrupted`, asked
before every optimizer step, says whether to stop here and hand back a checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from hpo.metric import Metric
from hpo.train.clock import Evaluation, Score
from hpo.train.data.images import Splits
from hpo.train.reported import OBJECTIVE
from hpo.train.run import Run
from hpo.train.trial import TrialSpec

Select = Literal["last", "best"]


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
    """Of the last epoch; None when no epoch was completed."""
    test: Score | None = None
    """Only of a finished trial that was given a test set."""
    checkpoint: bytes | None = None
    """Only of an interrupted trial: where to go on."""
    weights: bytes | None = None
    """Only of a finished trial of which they are asked for; see `Run.weights`."""
    best: Score | None = None
    """Validation of the epoch that was best by the objective, the first one of several."""

    @property
    def metrics(self) -> dict[str, float]:
        """Validation after the last epoch, and test, by the names of their metrics."""
        validation = {} if self.validation is None else self.validation.by_name("validation")
        return validation | ({} if self.test is None else self.test.by_name("test"))

    def score(self, objective: Metric, select: Select) -> float | None:
        """What the trial is judged by: the objective of its last epoch or of its best.

        If it diverged it is the objective's worst value, or None where there is none.
        """
        chosen = self.best if select == "best" else self.validation
        return objective.worst if chosen is None or self.ended is Ended.DIVERGED else chosen.of(objective)


Report = Callable[[Evaluation, Callable[[], bytes]], Decision]
"""(evaluation, a function that makes a checkpoint of this moment) -> whether to go on."""


def fit(
    trial: TrialSpec,
    seed: int,
    splits: Splits,
    report: Report,
    *,
    objective: Metric = OBJECTIVE,
    resume: bytes | None = None,
    interrupted: Callable[[], bool] = lambda: False,
    keep_weights: bool = False,
) -> Outcome:
    """Train `trial` with `seed` on the device that `splits` lie on.

    On a CPU with a fixed number of threads the result depends on (trial, seed, splits) alone, however often training
    was interrupted and resumed.

    Raises:
        CheckpointError: `resume` is damaged, of another version or of another trial.
        StudyFileError: the trial names a part that its model does not have.
    """
    run = Run(trial, seed, splits, objective)
    if resume is not None:
        run.restore(resume)
    while not run.complete and not run.diverged:
        if interrupted():
            kept = run.checkpoint()
            return Outcome(Ended.INTERRUPTED, run.clock.epoch, run.validation, checkpoint=kept, best=run.best)
        run.step()
        if run.clock.at_epoch_end:
            evaluation = run.evaluate()
            decision = report(evaluation, run.checkpoint)
            if decision is Decision.PRUNE and not run.diverged and not run.complete:
                return Outcome(Ended.PRUNED, run.clock.epoch, run.validation, best=run.best)
    if run.diverged:
        return Outcome(Ended.DIVERGED, run.clock.epoch, run.validation, best=run.best)
    test = run.score(splits.test) if splits.test is not None else None
    weights = run.weights() if keep_weights else None
    return Outcome(Ended.FINISHED, run.clock.epoch, run.validation, test, weights=weights, best=run.best)
