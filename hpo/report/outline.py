"""What a study would run: arms, cells, epochs, what is searched, what it costs. Known from the file alone."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hpo.checks.budgets import ArmPlan, arm_plans
from hpo.report.numbers import count
from hpo.space import Range, Values, merge
from hpo.study import StudySpec, parse_trial


def outline(study: StudySpec) -> RenderableType:
    """The plan of a study for a person to look over, 80 columns wide."""
    plans = arm_plans(study)
    data = parse_trial(study.trial, "trial").data
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
        if spec.search:
            lines.append(Text(f"\n{arm} searches", style="bold"))
            lines += [Text(f"  {name}  {_range(what.searched)}") for name, what in spec.parameters.items()]
    if still := [arm for arm, spec in study.arms.items() if not spec.search]:
        lines += [Text("\nnothing is searched in", style="bold"), Text(f"  {', '.join(still)}")]
    return Group(
        Text(study.title or study.name, style="bold"),
        Text(f"study {study.name}, {count(len(plans), 'arm')}, baseline {study.baseline}\n"),
        view,
        *lines,
        Text(f"\n{_confirm(study)}"),
        Text(f"claims: {len(study.claims)}, printed numbers: {len(study.published)}"),
        Text(f"data: {data.kind}; to see what its images are: hpo check --data"),
        Text(f"cost: {_cost(study, plans, data.images_per_epoch)}"),
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


def _cost(study: StudySpec, plans: list[ArmPlan], images: int | None) -> str:
    """Trials, epochs and, where the file tells how many images an epoch has, images and optimizer steps."""
    confirm = study.protocol.confirm
    again = confirm.top * confirm.seeds if confirm else 0
    epochs = {plan.arm: plan.budget_epochs + again * plan.epochs for plan in plans}
    cells = sum(plan.cells + again for plan in plans)
    parts = [f"at most {sum(epochs.values()):,} epochs in all, in {cells:,} trials if none is pruned"]
    if images is not None:
        sizes = {arm: merge(study.trial, spec.trial)["batch_size"] for arm, spec in study.arms.items()}
        steps = sum(epochs[arm] * (images // min(images, sizes[arm])) for arm in epochs)
        seen = _short(sum(epochs.values()) * images)
        parts.append(f"{seen} images, {_short(steps)} steps ({images:,} images an epoch)")
    return "; ".join(parts)


def _short(number: int) -> str:
    """`950`, `12,300`, `1.2 million`."""
    return f"{number / 1e6:,.1f} million" if number >= 1_000_000 else f"{number:,}"
