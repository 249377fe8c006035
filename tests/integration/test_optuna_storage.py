"""Our Optuna storage is Optuna's own, only cheaper: the same reads, proposals and decisions, on each database."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    PatientPruner,
    PercentilePruner,
    SuccessiveHalvingPruner,
    WilcoxonPruner,
)
from optuna.samplers import BaseSampler, CmaEsSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage, get_storage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from hpo.search import Median, Patient, Percentile
from hpo.storage import Storage, open_storage
from hpo.storage.optuna.storage import OptunaStorage
from hpo.storage.optuna.trial_buffer import TrialBuffer

SPACE: dict[str, BaseDistribution] = {
    "float": FloatDistribution(0.0, 1.0),
    "log": FloatDistribution(1e-5, 1e-1, log=True),
    "step": FloatDistribution(0.0, 1.0, step=0.25),
    "int": IntDistribution(1, 100),
    "log int": IntDistribution(1, 64, log=True),
    "choice": CategoricalDistribution([None, True, 3, 0.5, "text"]),
}
NUMBERS = [0.1 + 0.2, -1e-300, 1.7976931348623157e308, math.pi, math.inf, -math.inf]
TRIALS, EPOCHS = 24, 6


@pytest.fixture
def storage(storage_url: str) -> Iterator[Storage]:
    opened = open_storage(storage_url)
    yield opened
    opened.close()


@pytest.fixture
def theirs(storage_url: str) -> Iterator[RDBStorage]:
    """Optuna's own storage on the same database."""
    rdb = RDBStorage(storage_url)
    yield rdb
    rdb.engine.dispose()


def any_trial(chance: random.Random, state: TrialState) -> FrozenTrial:
    """A trial with something of everything."""
    names = [name for name in SPACE if chance.random() < 0.7]
    params = {name: random_value(chance, SPACE[name]) for name in names}
    numbers = chance.sample([*NUMBERS, math.nan], 4)
    trial = create_trial(
        state=state,
        value=chance.choice(NUMBERS) if state in (TrialState.COMPLETE, TrialState.PRUNED) else None,
        params=params,
        distributions={name: SPACE[name] for name in names},
        user_attrs={"ü": [1, {"deep": None}], "number": chance.random()},
        system_attrs={"fixed_params": params, "text": "'; --%s :x"},
        intermediate_values=dict(enumerate(numbers)) if state is not TrialState.WAITING else {},
    )
    return trial


def random_value(chance: random.Random, distribution: BaseDistribution) -> Any:
    match distribution:
        case CategoricalDistribution(choices=choices):
            return chance.choice(choices)
        case IntDistribution(low=low, high=high):
            return chance.randint(low, high)
        case FloatDistribution(low=low, high=high, step=step):
            return chance.choice([0.0, 0.25, 0.75]) if step else chance.uniform(low, high)
    raise AssertionError(distribution)


def shown(trials: list[FrozenTrial]) -> list[str]:
    """All fields, comparable though NaN is not equal to itself."""
    return [repr(sorted((name, in_order(value)) for name, value in vars(trial).items())) for trial in trials]


def in_order(value: Any) -> Any:
    return sorted(value.items(), key=lambda item: str(item[0])) if isinstance(value, dict) else value


def test_the_same_trials(storage: Storage, theirs: RDBStorage) -> None:
    """Object by object, for trials in every state, as they come and change in two processes, at every look."""
    study = theirs.create_new_study([StudyDirection.MAXIMIZE], "all")
    other = theirs.create_new_study([StudyDirection.MINIMIZE], "other")
    ours, chance = storage.optuna, random.Random(1)
    for number in range(20):
        state = list(TrialState)[number % 5]
        made = theirs.create_new_trial(study, any_trial(chance, state))
        theirs.create_new_trial(other, any_trial(chance, state))
        if number % 3 == 0:
            assert shown(theirs.get_all_trials(study)) == shown(ours.get_all_trials(study, deepcopy=False))
        running = [trial._trial_id for trial in theirs.get_all_trials(study, states=(TrialState.RUNNING,))]
        if number % 4 == 3 and running:  # one that is known as running ends
            end = chance.choice([TrialState.COMPLETE, TrialState.FAIL])
            theirs.set_trial_state_values(running[0], end, [0.5] if end is TrialState.COMPLETE else None)
        states = [(TrialState.COMPLETE,), (TrialState.PRUNED, TrialState.RUNNING), ()][number % 3]
        assert shown(theirs.get_all_trials(study, states=states)) == shown(ours.get_all_trials(study, states=states))
        assert shown([theirs.get_trial(made)]) == shown([ours.get_trial(made)])
    assert theirs.get_best_trial(study).number == ours.get_best_trial(study).number
    assert shown(theirs.get_all_trials(other)) == shown(ours.get_all_trials(other))


def test_the_same_writes(storage: Storage, theirs: RDBStorage) -> None:
    """What a buffer writes at once is what Optuna writes call by call; and nothing to a trial that is finished."""
    study = theirs.create_new_study([StudyDirection.MAXIMIZE], "all")
    chance, made = random.Random(2), []
    for number in range(6):
        state = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)[number % 3]
        template = any_trial(chance, state)
        ids = [theirs.create_new_trial(study) for _ in range(2)]
        buffer = TrialBuffer(storage.optuna, study, "all", StudyDirection.MAXIMIZE, theirs.get_trial(ids[1]))
        for writer, trial_id in zip((theirs, buffer), ids, strict=True):
            for name, value in template.params.items():
                writer.set_trial_param(trial_id, name, SPACE[name].to_internal_repr(value), SPACE[name])
            for step, value in template.intermediate_values.items():
                writer.set_trial_intermediate_value(trial_id, step, value)
            for key, value in template.user_attrs.items():
                writer.set_trial_user_attr(trial_id, key, value)
            for key, value in template.system_attrs.items():
                writer.set_trial_system_attr(trial_id, key, value)
            writer.set_trial_state_values(trial_id, state, template.values)
        assert theirs.get_trial(ids[1]).state is TrialState.RUNNING
        buffer.flush()
        made.append([theirs.get_trial(trial_id) for trial_id in ids])
        buffer.set_trial_user_attr(ids[1], "too", "late")
        buffer.flush()
    for one, two in made:
        assert "too" not in theirs.get_trial(two._trial_id).user_attrs
        assert two.datetime_complete is not None and one.datetime_complete is not None
        assert abs(two.datetime_complete - one.datetime_complete).total_seconds() < 60
        for trial in (one, two):
            trial.number = trial._trial_id = 0
            trial.datetime_start = trial.datetime_complete = None
    assert [shown([one]) for one, _ in made] == [shown([two]) for _, two in made]


def begun(storage: BaseStorage, study: int, name: str, sampler: BaseSampler, pruner: BasePruner) -> Trial:
    """A new trial; through ours as a worker begins it, in memory."""
    trial_id = storage.create_new_trial(study)
    if isinstance(storage, OptunaStorage):
        [direction] = storage.get_study_directions(study)
        storage = TrialBuffer(storage, study, name, direction, storage.get_trial(trial_id))
    return Trial(optuna.load_study(study_name=name, storage=storage, sampler=sampler, pruner=pruner), trial_id)


def search(
    storage: BaseStorage,
    sampler: Callable[[int], BaseSampler],
    pruner: Callable[[], BasePruner],
    direction: StudyDirection,
) -> list[tuple[dict[str, Any], int]]:
    """Parameters and length of the trials, three of them always under way."""
    study = storage.create_new_study([direction], "search")
    results: dict[int, tuple[dict[str, Any], int]] = {}
    running: list[tuple[int, Trial, int]] = []
    for turn in range(TRIALS * EPOCHS):
        while len(running) < 3 and len(results) + len(running) < TRIALS:
            number = len(results) + len(running)
            trial = begun(storage, study, "search", sampler(number), pruner())
            for name, distribution in SPACE.items():
                trial._suggest(name, distribution)
            flush(trial)
            running.append((number, trial, 0))
        if not running:
            break
        number, trial, epoch = running.pop(turn % len(running))
        params, epoch = trial.params, epoch + 1
        sign = 1.0 if direction is StudyDirection.MAXIMIZE else -1.0
        goal = params["float"] - abs(math.log10(params["log"]) + 3) + (params["choice"] == "text") * 0.3
        value = (
            math.nan
            if number == 7 and epoch == 2
            else sign * goal * (1 - math.exp(-epoch)) + 0.01 * (number % 5) * epoch
        )
        trial.report(value, epoch)
        flush(trial)
        prune = epoch < EPOCHS and should_prune(trial)
        flush(trial)
        if prune:
            trial.study.tell(trial, state=TrialState.PRUNED)
        elif epoch == EPOCHS:
            trial.study.tell(trial, sign * goal)
        else:
            running.append((number, trial, epoch))
            continue
        flush(trial)
        results[number] = params, epoch
    return [results[number] for number in range(TRIALS)]


def should_prune(trial: Trial) -> bool:
    """Through ours as a worker asks, who has read with the report what the pruner is known to ask for."""
    buffer = trial.storage
    if not isinstance(buffer, TrialBuffer):
        return trial.should_prune()
    question = buffer.prefetch_query()
    with buffer.storage.database.engine.connect() as connection:
        buffer.invalidate(question and connection.execute(question.select, question.parameters).all())
    prune = trial.should_prune()
    buffer.note_what_the_pruner_read()
    return prune


def flush(trial: Trial) -> None:
    """Write what is held back; Optuna's own storage holds nothing back."""
    if isinstance(trial.storage, TrialBuffer):
        trial.storage.flush()


PRUNERS: dict[str, Callable[[], BasePruner]] = {
    "median": lambda: MedianPruner(n_startup_trials=3),
    "halving": lambda: SuccessiveHalvingPruner(min_resource=1, reduction_factor=2),
    "hyperband": lambda: HyperbandPruner(min_resource=1, max_resource=EPOCHS, reduction_factor=3),
    "percentile": lambda: PercentilePruner(40.0, n_startup_trials=3),
    "wilcoxon": lambda: WilcoxonPruner(p_threshold=0.3),
    "patient": lambda: PatientPruner(MedianPruner(n_startup_trials=3), patience=1),
}
OURS = PRUNERS | {
    "median": lambda: Median(startup=3).build(EPOCHS),
    "percentile": lambda: Percentile(percentile=40.0, startup=3).build(EPOCHS),
    "patient": lambda: Patient(wrapped=Median(startup=3), patience=1).build(EPOCHS),
}
SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": lambda number: TPESampler(n_startup_trials=6, constant_liar=True, multivariate=True, seed=number),
    "cmaes": lambda number: CmaEsSampler(n_startup_trials=4, warn_independent_sampling=False, seed=number),
    "random": lambda number: RandomSampler(seed=number),
}
PAIRS = [("tpe", pruner) for pruner in PRUNERS] + [("cmaes", "median"), ("random", "halving")]


@pytest.mark.filterwarnings("ignore::UserWarning")  # CMA-ES leaves the categorical parameter to random draws
@pytest.mark.parametrize("direction", [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE], ids=lambda one: one.name)
@pytest.mark.parametrize(("sampler", "pruner"), PAIRS)
def test_the_same_search(
    sampler: str, pruner: str, direction: StudyDirection, postgres_url: str, request: pytest.FixtureRequest
) -> None:
    """From the same seeds the same proposals, and the same trials pruned at the same epochs, as with Optuna's own."""
    # One pair through RDBStorage; Optuna's storage in memory gives the same and takes a hundredth of the time.
    slow = (sampler, pruner, direction) == ("tpe", "median", StudyDirection.MAXIMIZE)
    own = RDBStorage(request.getfixturevalue("sqlite_url")) if slow else InMemoryStorage()
    expected = search(get_storage(own), SAMPLERS[sampler], PRUNERS[pruner], direction)
    assert 2 < sum(epochs < EPOCHS for _, epochs in expected) < TRIALS
    if isinstance(own, RDBStorage):
        own.engine.dispose()
    storage = open_storage(postgres_url)
    kept = OURS[pruner]()
    assert expected == search(storage.optuna, SAMPLERS[sampler], lambda: kept, direction)
    storage.close()
