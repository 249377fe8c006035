"""What a study would run: arms, cells, epochs, what is searched. Known from the file alone."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hpo.plan import arm_plans
from hpo.space import Range, Values
from hpo.study import StudySpec


def outline(study: StudySpec) -> RenderableType:
    """The plan of a study for a person to look over, 80 columns wide.

    Raises:
        StudyFileError: the study's budgets don't fit its arms.
    """
    plans = arm_plans(study)
    view = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("arm", "sampler", "pruner"):
        view.add_column(name, overflow="fold")
    for name in ("cells", "epochs each", "epochs at most"):
        view.add_column(name, justify="right")
    for plan in plans:
        spec = study.arms[plan.arm]
        ends = (str(plan.cells), str(plan.epochs), str(plan.budget_epochs))
        view.add_row(Text(plan.arm), spec.sampler.kind, study.pruner(plan.arm).kind, *ends)
    lines: list[Text] = []
    for arm, spec in study.arms.items():
        lines.append(Text(f"\n{arm} searches" if spec.search else f"\n{arm} searches nothing", style="bold"))
        lines += [Text(f"  {path}  {_range(what)}") for path, what in spec.search.items()]
    return Group(
        Text(study.title or study.name, style="bold"),
        Text(f"study {study.name}, {len(plans)} arms, baseline {study.baseline}\n"),
        view,
        *lines,
        Text(f"\n{_confirm(study)}"),
        Text(f"at most {_total(study)} epochs in all; claims: {len(study.claims)}"),
    )


def _range(searched: Range | Values) -> str:
    if isinstance(searched, Values):
        return "one of " + ", ".join(str(label) for label in searched.labels())
    notes = [text for text, on in (("log", searched.log), ("whole numbers", searched.integer)) if on]
    if searched.step is not None:
        notes.append(f"steps of {searched.step:g}")
    return f"{searched.low:g} to {searched.high:g}" + (f" ({', '.join(notes)})" if notes else "")


def _confirm(study: StudySpec) -> str:
    confirm = study.protocol.confirm
    if confirm is None:
        return "no confirm phase: arms are compared on validation, by the search phase alone"
    best = "best configuration" if confirm.top == 1 else f"best {confirm.top} configurations"
    return f"then the {best} of each arm with {confirm.seeds} fresh seeds, scored on test"


def _total(study: StudySpec) -> int:
    confirm = study.protocol.confirm
    again = confirm.top * confirm.seeds if confirm else 0
    return sum(plan.budget_epochs + again * plan.epochs for plan in arm_plans(study))
