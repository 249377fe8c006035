"""A trial whose validation accuracy no longer improves ends early, at the same epoch however often interrupted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from hpo.trainers.images.data import Splits
from hpo.trainers.images.evaluation import Evaluation
from hpo.trainers.images.loop import Decision, Ended, Outcome, fit
from hpo.trainers.images.run import Run
from hpo.trainers.images.trial import TrialSpec
from hpo.trainers.moving.clock import Score
from tests.unit.digits import digits

SOURCE = {"kind": "digits", "validation": 100, "train_limit": 60}


@pytest.fixture(scope="module")
def splits() -> Splits:
    """60 training images, 100 validation images, and a test set."""
    return digits(SOURCE, with_test=True)


def trial(**changes: Any) -> TrialSpec:
    """Forty epochs of three steps at most, four without an improvement."""
    table: dict[str, Any] = {
        "epochs": 40,
        "batch_size": 20,
        "data": SOURCE,
        "model": {"kind": "mlp", "hidden": [8]},
        "optimizer": {"kind": "sgd"},
        "lr": {"kind": "cosine", "peak": 0.1},
        "early_stopping": {"patience": 4},
    }
    return TrialSpec.model_validate(table | changes)


def trained(spec: TrialSpec, splits: Splits, answer: Decision = Decision.CONTINUE, **options: Any) -> Any:
    """The outcome, the validation scores, and a checkpoint of every epoch."""
    scores: list[Score] = []
    checkpoints: list[bytes] = []

    def report(evaluation: Evaluation, checkpoint: Callable[[], bytes]) -> Decision:
        scores.append(evaluation.validation)
        checkpoints.append(checkpoint())
        return answer

    return fit(spec, 7, splits, report, **options), scores, checkpoints


@pytest.mark.parametrize(
    ("patience", "min_delta", "accuracies", "stops_after"),
    [
        (1, 0.0, [0.5, 0.6, 0.6], 3),  # as good is not better
        (2, 0.0, [0.5, 0.4, 0.6, 0.5, 0.5], 5),  # an improvement begins the count anew
        (3, 0.0, [0.5, 0.4, 0.4, 0.6], None),
        (2, 0.0, [0.0, 0.0, 0.0], 3),  # the first epoch is the best so far, whatever it has
        (2, 0.1, [0.5, 0.55, 0.65, 0.7, 0.74], 5),  # 0.65 is better by more than 0.1, 0.74 is not
        (2, 0.1, [0.5, 0.55, 0.59], 3),  # measured against the best one, not against the last
        (None, 0.0, [0.5, 0.4, 0.4, 0.4, 0.4], None),
    ],
)
def test_when(
    patience: int | None,
    min_delta: float,
    accuracies: list[float],
    stops_after: int | None,
    splits: Splits,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first epoch at which there has been none for long enough."""
    stopping = None if patience is None else {"patience": patience, "min_delta": min_delta}
    run, stopped = Run(trial(early_stopping=stopping), 7, splits), None
    given = iter(accuracies)
    monkeypatch.setattr(run, "score", lambda images: Score(1.0, next(given)))
    for epoch in range(1, len(accuracies) + 1):
        for _ in range(3):
            run.step()
        run.evaluate()
        if run.complete and stopped is None:
            stopped = epoch
    assert stops_after == stopped


def test_ends_as_a_finished_trial(splits: Splits) -> None:
    """The curve is that of the whole trial as far as it goes; the last epoch is scored, on test as well."""
    whole, all_scores, _ = trained(trial(early_stopping=None), splits)
    outcome, scores, _ = trained(trial(), splits)
    assert (40, Ended.FINISHED, Ended.FINISHED) == (whole.epochs, whole.ended, outcome.ended)
    best = max(range(len(scores)), key=lambda epoch: scores[epoch].accuracy)
    assert len(scores) == outcome.epochs == best + 5 < 40
    assert (all_scores[: outcome.epochs], scores[-1]) == (scores, outcome.validation)
    assert outcome.test is not None and outcome.test != whole.test


@pytest.mark.parametrize("score", ["last", "best"])
def test_resumed(score: str, splits: Splits) -> None:
    """After every step, and from the checkpoint of every epoch, the last one included."""
    spec = trial(early_stopping={"patience": 4, "score": score})
    outcome, scores, checkpoints = trained(spec, splits, keep_weights=True)
    for epoch, checkpoint in enumerate(checkpoints, start=1):
        again, later, _ = trained(spec, splits, keep_weights=True, resume=checkpoint)
        assert (outcome, scores[epoch:]) == (again, later)
    seen: list[Score] = []
    pieces = Outcome(Ended.INTERRUPTED, 0)
    while pieces.ended is Ended.INTERRUPTED:
        asked = iter([False])
        stop = lambda asked=asked: next(asked, True)  # noqa: E731
        pieces, later, _ = trained(spec, splits, keep_weights=True, resume=pieces.checkpoint, interrupted=stop)
        seen += later
    assert (outcome, scores) == (pieces, seen)


def test_not_pruned_any_more(splits: Splits) -> None:
    """An epoch after which the trial ends in any case: there is nothing to save."""
    outcome, scores, _ = trained(trial(early_stopping={"patience": 1, "min_delta": 1.0}), splits)
    assert (2, Ended.FINISHED) == (len(scores), outcome.ended)
    _, _, checkpoints = trained(trial(early_stopping={"patience": 1, "min_delta": 1.0}), splits)
    pruned, later, _ = trained(
        trial(early_stopping={"patience": 1, "min_delta": 1.0}), splits, Decision.PRUNE, resume=checkpoints[0]
    )
    assert (1, outcome) == (len(later), pruned)
    assert Ended.PRUNED is trained(trial(), splits, Decision.PRUNE)[0].ended


def test_diverged_all_the_same(splits: Splits) -> None:
    """A loss that is not a number counts for more than the patience that is at its end."""
    spec = trial(lr={"kind": "constant", "peak": 1e30}, early_stopping={"patience": 1, "min_delta": 1.0})
    assert Ended.DIVERGED is trained(spec, splits)[0].ended


@pytest.mark.parametrize("patience", [4, 40])
def test_the_best_net_is_put_back(patience: int, splits: Splits) -> None:
    """Its scores are those of the first epoch with the highest accuracy, on test as well, stopped early or not."""
    best = {"patience": patience, "score": "best"}
    last, scores, checkpoints = trained(trial(early_stopping={"patience": patience}), splits, keep_weights=True)
    outcome, same_scores, _ = trained(trial(early_stopping=best), splits, keep_weights=True)
    assert (scores, last.epochs) == (same_scores, outcome.epochs), "it trains as it did"
    epoch = max(range(len(scores)), key=lambda number: scores[number].accuracy)
    assert (scores[epoch], scores[-1]) == (outcome.validation, last.validation)
    assert scores[epoch] != scores[-1]
    then = Run(trial(early_stopping={"patience": patience}), 7, splits)
    then.restore(checkpoints[epoch])
    assert splits.test is not None
    assert (then.score(splits.test), then.weights()) == (outcome.test, outcome.weights)


def test_the_best_is_any_better_one(splits: Splits, monkeypatch: pytest.MonkeyPatch) -> None:
    """`min_delta` decides when to stop, not which epoch was best."""
    run, nets = Run(trial(early_stopping={"patience": 9, "min_delta": 0.5, "score": "best"}), 7, splits), []
    given = iter([0.5, 0.6, 0.8, 0.8, 0.7])
    monkeypatch.setattr(run, "score", lambda images: Score(1.0, next(given)))
    for _ in range(5):
        for _ in range(3):
            run.step()
        run.evaluate()
        nets.append(run.weights())
    run.put_back_best()
    assert nets.index(run.weights()) == 2
    assert Score(1.0, 0.8) == run.validation


@pytest.mark.parametrize(
    "given",
    [{}, {"patience": 0}, {"patience": 1.5}, {"patience": 1, "min_delta": -0.1}, {"patience": 1, "score": "first"}],
)
def test_refused(given: dict[str, Any]) -> None:
    """A whole number of epochs above 0, and a share."""
    with pytest.raises(ValidationError):
        trial(early_stopping=given)
