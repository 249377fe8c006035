"""`trial.score_every`: validation is scored where somebody looks, and nothing else of a trial changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hpo.errors import StudyFileError
from hpo.report.verdict.rules import rules
from hpo.search.space import merge
from hpo.study import StudySpec
from hpo.study.file import parse
from hpo.trainers.images.data import Splits
from hpo.trainers.images.evaluation import Evaluation
from hpo.trainers.images.loop import Decision, Ended, Outcome, fit
from hpo.trainers.images.prefix import prefixes
from hpo.trainers.images.run import Run
from hpo.trainers.images.trial import TrialSpec
from tests.unit.digits import digits
from tests.unit.report_samples import TRIAL

SOURCE = {"kind": "digits", "validation": 200, "train_limit": 300, "split_seed": 3}
STEER: dict[str, Any] = {"data": {"steer": 100}}


@pytest.fixture(scope="module")
def splits() -> Splits:
    return digits(SOURCE)


def trial(**changes: Any) -> TrialSpec:
    """Seven epochs with dropout and batch norm, which a score in another mode would disturb; scored every three."""
    table: dict[str, Any] = {
        "epochs": 7,
        "batch_size": 50,
        "data": SOURCE,
        "augment": {"crop": 1},
        "model": {"kind": "mlp", "hidden": [16], "batch_norm": True},
        "optimizer": {"kind": "sgd", "momentum": 0.9},
        "lr": {"kind": "cosine", "peak": 0.05},
        "regularizers": {
            "dropout": {"kind": "dropout", "strength": 0.2},
            "l2": {"kind": "l2", "strength": 1e-3, "policy": {"kind": "hold"}},
        },
        "score_every": 3,
    }
    return TrialSpec.model_validate(merge(table, changes))


def feedback(**policy: Any) -> dict[str, Any]:
    """L2 by feedback that answers to every gap."""
    moved = {"kind": "accuracy_gap", "raise_above": 0.01, "lower_below": 0.01, "factor": 2.0} | policy
    return {"regularizers": {"l2": {"policy": moved}}}


def trained(spec: TrialSpec, splits: Splits, **options: Any) -> tuple[list[Evaluation], Outcome]:
    """The curve without its times, and the outcome."""
    curve: list[Evaluation] = []

    def report(evaluation: Evaluation, checkpoint: Callable[[], bytes]) -> Decision:
        curve.append(replace(evaluation, seconds=0.0, images_per_second=0.0))
        return Decision.CONTINUE

    return curve, fit(spec, 7, splits, report, keep_weights=True, **options)


def scored(curve: list[Evaluation]) -> list[int]:
    """The epochs after which validation was scored."""
    return [point.epoch for point in curve if point.validation is not None]


def test_the_same_trial_scored_less_often(splits: Splits) -> None:
    """Weights, last scores and all that is reported of train, bit for bit; and what is scored is what it was."""
    often, every = trained(trial(score_every=1), splits)
    seldom, outcome = trained(trial(), splits)
    assert every == outcome
    assert [3, 6, 7] == scored(seldom)
    assert seldom == [point if point.epoch in (3, 6, 7) else replace(point, validation=None) for point in often]
    metrics = seldom[0].reported().metrics
    assert not [name for name in metrics if name.startswith("validation")]
    assert "train_loss" in metrics


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"score_every": 100}, [7]),
        ({"plateau": {"patience": 2}}, [1, 2, 3, 4, 5, 6, 7]),
        ({"early_stopping": {"patience": 7}}, [1, 2, 3, 4, 5, 6, 7]),
        (feedback(), [1, 2, 3, 4, 5, 6, 7]),
        (feedback(every={"epochs": 2}), [2, 3, 4, 6, 7]),
        (feedback() | STEER, [3, 6, 7]),
    ],
    ids=["at the end alone", "plateau", "early stopping", "feedback", "feedback every two", "steered by other images"],
)
def test_scored_where_something_answers_to_it(changes: dict[str, Any], expected: list[int]) -> None:
    """So what answers does what it would have done."""
    own = digits(merge(SOURCE, changes.get("data", {})))
    curve, outcome = trained(trial(**changes), own)
    assert expected == scored(curve)
    often, every = trained(trial(**changes | {"score_every": 1}), own)
    assert every == outcome
    assert [point.strengths for point in often] == [point.strengths for point in curve]


def test_scored_where_somebody_looks(splits: Splits) -> None:
    """A pruner at its rungs, a claim about a moment."""
    curve, _ = trained(trial(score_every=7), splits, looks_at=lambda epoch: epoch in (2, 5))
    assert [2, 5, 7] == scored(curve)


def test_test_is_scored_with_it() -> None:
    """Where it is scored along the way at all."""
    curve, outcome = trained(trial(test_curve=True), digits(SOURCE, with_test=True))
    assert [3, 6, 7] == [point.epoch for point in curve if point.test is not None]
    assert outcome.test == curve[-1].test


@pytest.mark.parametrize("changes", [{}, feedback(every={"epochs": 2})], ids=["hold", "feedback"])
def test_resumed_at_every_step(changes: dict[str, Any], splits: Splits) -> None:
    """Bit for bit, after epochs that were not scored too."""
    spec, curve = trial(**changes), []
    whole, expected = trained(spec, splits)
    kept: bytes | None = None
    while True:
        asked = iter([False])
        part, outcome = trained(spec, splits, resume=kept, interrupted=lambda asked=asked: next(asked, True))
        curve += part
        if outcome.ended is not Ended.INTERRUPTED:
            break
        kept = outcome.checkpoint
    assert (whole, expected) == (curve, outcome)


def test_a_shorter_trial_goes_on_from_an_epoch_that_was_not_scored(splits: Splits) -> None:
    """With no step to take, as it shares all of its epochs: it is scored there."""
    rate = {"lr": {"kind": "constant", "peak": 0.05}}
    longer, shorter = trial(**rate, score_every=5), trial(**rate, score_every=5, epochs=4)
    _, expected = trained(shorter, splits)
    run = Run(longer, 7, splits)
    while run.clock.epoch < 4:
        run.step()
        if run.clock.at_epoch_end:
            run.evaluate()
    assert run.validation is None
    curve, outcome = trained(shorter, splits, resume=run.checkpoint())
    assert ([], expected) == (curve, outcome)


def test_a_checkpoint_of_a_trial_whose_policy_does_not_look(splits: Splits) -> None:
    """Taken over after an epoch that was not scored: it is then, as feedback would have seen it."""
    looks = trial(**feedback(every={"epochs": 2}))
    expected = Run(looks, 7, splits)
    run = Run(looks, 7, splits)
    for one in (expected, run):
        while one.clock.epoch < 2:
            one.step()
            if one.clock.at_epoch_end:
                one.evaluate()
    found, run.validation = run.validation, None
    assert found is not None
    again = Run(looks, 7, splits)
    again.restore(run.checkpoint())
    assert found == again.validation


def test_how_often_is_no_difference_between_trials() -> None:
    """Their checkpoints, and those of an earlier hpo, are of one trial."""
    assert prefixes(trial(), 300) == prefixes(trial(score_every=1), 300)


def test_divergence_on_train_is_scored_at_once(splits: Splits) -> None:
    """As it would have been: a trial ends there with both scores."""
    curve, outcome = trained(trial(lr={"peak": 1e30}, clip_norm=None), splits)
    assert (Ended.DIVERGED, [len(curve)]) == (outcome.ended, scored(curve))


# --- in a study


def study(**changes: Any) -> StudySpec:
    arms: dict[str, Any] = {"a": {}, "b": {}}
    return parse(merge({"name": "s", "trial": TRIAL | {"score_every": 5}, "arms": arms}, changes))


def test_the_report_says_so() -> None:
    """Among its rules, if that is so."""
    assert any(line.startswith("Scored: every 5 epochs, after the last one") for line in rules(study(), "a"))
    usual = study(trial={"score_every": 1})
    assert not any(line.startswith("Scored") for line in rules(usual, "a"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"protocol": {"select": "best"}},
            'protocol.select: "best" is the best of all epochs, and trial.score_every = 5',
        ),
        ({"arms": {"a": {"trial": {"score_every": 1}}}}, "arms.a.trial.score_every: arms must share the study's"),
        (
            {"arms": {"a": {"search": {"score_every": {"values": [1, 2]}}}}},
            "arms.a.search.score_every: score_every can't be searched",
        ),
        ({"trial": {"score_every": 0}}, "trial.score_every: "),
        ({"trial": {"score_every": "often"}, "protocol": {"select": "best"}}, "trial.score_every: "),
    ],
)
def test_mistakes(changes: dict[str, Any], said: str) -> None:
    """Each in a line of its own."""
    with pytest.raises(StudyFileError) as refused:
        study(**changes)
    assert str(refused.value).startswith(said)
