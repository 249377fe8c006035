"""A study with more to do than it was planned with: more trials or epochs for every arm, or more confirm seeds."""

from __future__ import annotations

from hpo.errors import StudyError
from hpo.study import Arm, Extension, StudySpec
from hpo.study.protocol import Budget


def extended(study: StudySpec, by: Extension) -> StudySpec:
    """The study with that much more to do, and with a note of it.

    Raises:
        StudyError: it has no confirm phase, lists its points, or counts its budget otherwise.
    """
    protocol = study.protocol
    if by.more_seeds:
        if protocol.confirm is None:
            raise StudyError(f"{study.name} has no confirm phase, so it has no seeds to add to")
        confirm = protocol.confirm.model_copy(update={"seeds": protocol.confirm.seeds + by.more_seeds})
        protocol = protocol.model_copy(update={"confirm": confirm})
    arms = dict(study.arms)
    if by.more_trials or by.more_epochs:
        _refuse_listed_points(study)
        arms = {name: _with_more(study, name, arm, by) for name, arm in study.arms.items()}
        if protocol.budget is not None:
            protocol = protocol.model_copy(update={"budget": _more(study, "protocol", protocol.budget, by)})
    more = {"protocol": protocol, "arms": arms, "extensions": (*study.extensions, by)}
    return study.model_copy(update=more)


def _refuse_listed_points(study: StudySpec) -> None:
    listed = [name for name, arm in study.arms.items() if not arm.sampler.proposes]
    if listed:
        raise StudyError(
            f"{study.name}: {', '.join(listed)} would stay as it is, for a grid is a whole, and the others would have "
            "more compute",
            hint="more seeds are the same for every arm: --seeds; a finer grid is a study of its own",
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
