"""A study with more to do than it was planned with: more trials or epochs for every arm, or more confirm seeds."""

from __future__ import annotations

import json

from pydantic import ValidationError

from hpo.errors import StudyError
from hpo.study import Arm, Extension, StudySpec
from hpo.study.protocol import Budget, Confirm
from hpo.words.explain import explain


def extended(study: StudySpec, by: Extension) -> StudySpec:
    """The study with that much more to do, and with a note of it.

    Raises:
        StudyError: it has no confirm phase, lists its points, counts its budget otherwise, or would get seeds that its
            test does not count on.
    """
    protocol = study.protocol
    if by.more_seeds:
        protocol = protocol.model_copy(update={"confirm": _with_more_seeds(study, by.more_seeds)})
    arms = dict(study.arms)
    if by.more_trials or by.more_epochs:
        _refuse_listed_points(study)
        arms = {name: _with_more(study, name, arm, by) for name, arm in study.arms.items()}
        if protocol.budget is not None:
            protocol = protocol.model_copy(update={"budget": _more(study, "protocol", protocol.budget, by)})
    more = study.model_copy(update={"protocol": protocol, "arms": arms, "extensions": (*study.extensions, by)})
    try:  # what is stored has to be readable
        return StudySpec.model_validate_json(more.model_dump_json())
    except ValidationError as error:
        lines = "\n".join(explain(error, json.loads(more.model_dump_json())))
        raise StudyError(f"{study.name} can't be extended by that much:\n{lines}") from None


def extension_to(stored: StudySpec, given: StudySpec) -> Extension | None:
    """The extension that would make the stored study what is given; None if the two differ in anything else."""
    old, new = (_amounts(study) for study in (stored, given))
    more = {name: new[name] - old[name] for name in old if new[name] > old[name]}
    by = Extension(**more, when_done=0, of_planned=0)
    try:
        same = extended(stored, by).model_copy(update={"extensions": given.extensions}) == given
    except StudyError:
        return None
    return by if more and same else None


def _amounts(study: StudySpec) -> dict[str, int]:
    """How much an arm of the study has to do, by what an extension may add to."""
    budgets = [study.protocol.budget, *(arm.budget for arm in study.arms.values())]
    budget = next((each for each in budgets if each is not None), Budget(trials=1))
    confirm = study.protocol.confirm
    return {
        "more_trials": budget.trials or 0,
        "more_epochs": budget.epochs or 0,
        "more_seeds": confirm.largest if confirm else 0,
    }


def _with_more_seeds(study: StudySpec, more: int) -> Confirm:
    """The confirm phase with more seeds, or with more of them at most."""
    confirm = study.protocol.confirm
    if confirm is None:
        raise StudyError(f"{study.name} has no confirm phase, so it has no seeds to add to")
    if confirm.most is not None:
        return confirm.model_copy(update={"most": confirm.most + more})
    if study.claims:
        raise StudyError(
            f"{study.name} was launched with {confirm.seeds} seeds, and the test of its claims relies on that number: "
            "adding seeds after looking at the results makes a false verdict more likely than the p value says",
            hint=f"repeat the question in a new study, with new seeds: --name NAME --set "
            f"protocol.seed={study.protocol.seed + 1}; or declare in the study file that seeds may be added: "
            'confirm = { seeds = 5, most = 40, until = "decided" }',
        )
    return confirm.model_copy(update={"seeds": confirm.seeds + more})


def _refuse_listed_points(study: StudySpec) -> None:
    listed = [name for name, arm in study.arms.items() if not arm.sampler.proposes]
    if listed:
        raise StudyError(
            f"{study.name}: {', '.join(listed)} can't be extended, since a grid lists all of its points; the other "
            "arms would have more compute",
            hint="launch a new study for a finer grid",
        )


def _with_more(study: StudySpec, name: str, arm: Arm, by: Extension) -> Arm:
    if arm.budget is None:
        return arm
    return arm.model_copy(update={"budget": _more(study, f"arms.{name}", arm.budget, by)})


def _more(study: StudySpec, where: str, budget: Budget, by: Extension) -> Budget:
    unit, other = ("trials", "epochs") if budget.trials else ("epochs", "trials")
    more, given = (by.more_trials, by.more_epochs) if budget.trials else (by.more_epochs, by.more_trials)
    if given or not more:
        raise StudyError(f"{study.name}: {where}.budget counts {unit}, not {other}", hint=f"extend it by --{unit}")
    return budget.model_copy(update={unit: (budget.trials or budget.epochs or 0) + more})
