"""The verdict: what each arm reached and spent, and whether the claims hold; a function of the study's cells.

Whatever is chosen is chosen on validation: an arm's best configuration in the search phase, and of those
confirmed the one that represents the arm. Test accuracies are compared afterwards, seed by seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from hpo.evidence.contrasts import compared_arms
from hpo.evidence.measured import (
    Read,
    Values,
    after,
    after_the_end,
    best_of,
    judged_by,
    last_epochs,
    measured,
    rankings,
    representatives,
    summary,
    unit_noun,
    units,
)
from hpo.evidence.statistics import Summary, bootstrap, differences, effect_size, holm, paired, wilcoxon
from hpo.metric import Metric
from hpo.plan import changes, spent_alike
from hpo.report.verdict.across import across_settings
from hpo.report.verdict.claims import Measured, judge, seed_ignored
from hpo.report.verdict.differing import flat
from hpo.report.verdict.doubts import doubts
from hpo.report.verdict.efficiency import Efficiency, efficiencies
from hpo.report.verdict.failing import failed_trials
from hpo.report.verdict.ignored_seeds import arms_without_seeds
from hpo.report.verdict.kept import kept
from hpo.report.verdict.published import published
from hpo.report.verdict.results import ArmResult, Comparison, PhaseResult, Report
from hpo.report.verdict.rules import (
    audits,
    compute,
    despite,
    devices_mixed,
    failures,
    left_out,
    missing_trials,
    rehearsed,
    rules,
    shared,
    unfinished,
)
from hpo.report.verdict.selection import expected_best
from hpo.report.verdict.spread import spread
from hpo.storage.rows import Cell, CurvePoint
from hpo.storage.states import AUDIT, CONFIRM, SEARCH, Phase
from hpo.study import StudySpec
from hpo.study.rehearsed import Rehearsal


def compare(
    study: StudySpec,
    cells: Sequence[Cell],
    curves: Sequence[CurvePoint] = (),
    devices: Mapping[str, str] | None = None,
    stopped_early: str | None = None,
    rehearsal: Rehearsal | None = None,
) -> Report:
    """The verdict on `study` as far as its cells have come.

    What a publication prints of training, and what a claim says of an earlier moment, is looked up in `curves`.
    `devices` says on what each worker ran, by its id; `stopped_early` why the study was given up, if it was;
    `rehearsal` what was found of a trial before the launch.
    """
    metric = study.headline
    to_come = changes(study, cells)
    all_cells, cells = cells, kept(cells, to_come)
    by_arm = {name: [cell for cell in cells if cell.arm == name] for name in study.arms}
    judged = {name: judged_by(study, own) for name, own in by_arm.items()}
    compared_by = [study.metric_of(claim.comparison) for claim in study.claims]
    compared_by += [study.metric_of(row) for row in study.published]
    of_training = any(each.split == "train" for each in compared_by)
    last = last_epochs(cells, curves) if of_training else {}
    by_unit = {name: units(study, own) for name, own in judged.items()}
    metrics = study.metrics.values()
    read = after_the_end(last)
    values = {name: measured(metrics, own, read) for name, own in by_unit.items()}
    looked_at = [each for claim in study.claims for each in compared_arms(study, claim.comparison)]
    moments = {(arm, at) for arm, at in looked_at if at}
    earlier = {
        (arm, at): measured(metrics, by_unit[arm], after(study.epoch_at(arm, at), judged[arm], curves))
        for arm, at in moments
    }
    coming = Counter((cell.arm, cell.phase) for cell in to_come.added)
    coming.update((cell.arm, cell.phase) for cell in to_come.restored)
    efficiency = efficiencies(study, cells)
    compared = _compare(study, values, metric.name, tests=not study.claims)
    ends = {name: {unit: ended_as(cells) for unit, cells in own.items()} for name, own in by_unit.items()}
    ignored = arms_without_seeds(study.metrics.keys(), judged, curves)
    fewest = min((tried for own in by_arm.values() if (tried := _tried(own))), default=0) // study.protocol.searches
    arms = tuple(
        _arm(
            study,
            name,
            by_arm[name],
            coming,
            values[name],
            by_unit[name],
            read,
            metric,
            fewest,
            efficiency[name],
            compared.get(name),
        )
        for name in study.arms
    )
    spent = {arm.name: arm.search.epochs for arm in arms}
    settings = {spec.setting for spec in study.arms.values()}
    groups = [[spent[arm] for arm, spec in study.arms.items() if spec.setting == setting] for setting in settings]
    ratio = max(max(group) / min(group) for group in groups) if min(spent.values()) else None
    open_arms = {arm.name: line for arm in arms if (line := unfinished(arm))}
    failing = {arm.name: line for arm in arms if (line := missing_trials(arm, stopped_early))}
    mixed = devices_mixed(cells, devices or {})
    return Report(
        name=study.name,
        title=study.title,
        baseline=_baseline(study),
        unit=study.unit,
        compared_by=unit_noun(study),
        objective=study.objective,
        metric=metric,
        rules=(*rules(study, _baseline(study)), *rehearsed(rehearsal)),
        arms=arms,
        claims=judge(study, Measured(values, open_arms, failing, ends, earlier, ignored)),
        published=tuple(published(study, cells, last)),
        fewest=fewest,
        search_ratio=ratio,
        compute=compute(study.unit, tuple(spent.values()), ratio, spent_alike(study, spent), len(groups))
        + shared(study.unit, cells),
        devices=mixed,
        unfinished=(*open_arms.values(), *(line for arm in arms if (line := audits(arm)))),
        incomplete=tuple(failed_trials(study.name, cells, stopped_early)),
        failures=(
            *despite(rehearsal),
            *(seed_ignored(arm, seeds) for arm, seeds in ignored.items()),
            *(line for arm in arms for line in failures(arm)),
            *left_out(study, all_cells, cells),
        ),
        across=across_settings(study, values, metric),
        doubts=tuple(doubts(study, cells, one_device=not mixed)),
    )


def _baseline(study: StudySpec) -> str:
    """What the others are compared with, in words."""
    found = study.arms[study.baseline]
    return f"{found.way} in the same setting" if found.way else study.baseline


def _arm(
    study: StudySpec,
    name: str,
    cells: Sequence[Cell],
    coming: Mapping[tuple[str, Phase], int],
    values: Values,
    by_unit: Mapping[int, Sequence[Cell]],
    read: Read,
    metric: Metric,
    fewest: int,
    efficiency: Efficiency,
    comparison: Comparison | None,
) -> ArmResult:
    phases = {phase: [cell for cell in cells if cell.phase == phase] for phase in (SEARCH, CONFIRM, AUDIT)}
    counts = {phase: _count(own, coming.get((name, phase), 0)) for phase, own in phases.items()}
    objective = study.objective
    of_each = representatives(study, cells)
    chosen = best_of(study, of_each)
    bests = [ranked[0].score for ranked in rankings(study, phases[SEARCH]).values() if ranked]
    return ArmResult(
        name=name,
        baseline=study.baseline_of(name),
        search=counts[SEARCH],
        confirm=counts[CONFIRM],
        audit=counts[AUDIT],
        tried=_tried(cells),
        configuration=study.values(name, chosen[0].params or {}) if chosen else None,
        configurations={search: study.values(name, own[0].params or {}) for search, own in of_each.items()},
        trials={search: flat(study.table_of(name, own[0].params or {})) for search, own in of_each.items()},
        search_best=objective.mean(bests) if bests else None,
        expected_best=expected_best(objective, phases[SEARCH], fewest),
        efficiency=efficiency,
        values=values,
        spread=spread(metric, by_unit, read) if study.protocol.searches > 1 else None,
        validation=summary(values[objective.name], objective),
        test=summary(values[objective.on("test").name], objective),
        also=_also(study, values),
        bootstrap=bootstrap(own) if len(own := list(values[metric.name].values())) >= FEWEST_RESAMPLED else None,
        comparison=comparison,
    )


def _also(study: StudySpec, values: Values) -> tuple[tuple[Metric, Summary | None], ...]:
    """What else is scored on test."""
    main = study.objective.on("test")
    others = (metric for metric in study.metrics.values() if metric.split == "test" and metric != main)
    return tuple((other, summary(values[other.name], other)) for other in others)


FEWEST_RANKED = 6
"""Ranks of fewer differences never have a p value below 5 %: the smallest is 2 / 2^n."""
FEWEST_RESAMPLED = 10
"""Resamples of fewer values repeat too few to show how they spread."""


def _compare(study: StudySpec, values: Mapping[str, Values], metric: str, *, tests: bool) -> dict[str, Comparison]:
    """Every other arm with its baseline; p values, if these are the study's `tests`, corrected for the number of those
    arms."""
    others = [arm for arm in values if arm != study.baseline_of(arm)]
    sides = {arm: (values[arm][metric], values[study.baseline_of(arm)][metric]) for arm in others}
    anytime = study.protocol.is_sequential
    found = {arm: difference for arm in others if (difference := paired(*sides[arm], anytime=anytime))}
    by_seed = {arm: differences(*sides[arm]) for arm in others}
    p_values = [found[arm].p if arm in found and tests else None for arm in others]
    corrected = dict(zip(others, holm(p_values), strict=True))
    return {
        arm: Comparison(
            difference=difference,
            bootstrap=bootstrap(by_seed[arm]) if len(by_seed[arm]) >= FEWEST_RESAMPLED else None,
            p_corrected=corrected[arm],
            wilcoxon=wilcoxon(by_seed[arm]) if len(by_seed[arm]) >= FEWEST_RANKED and tests else None,
            effect=effect_size(difference),
        )
        for arm, difference in found.items()
    }


def ended_as(cells: Sequence[Cell]) -> str:
    """How the trials of a unit ended: diverged, if one of them has."""
    return "diverged" if any(cell.ended == "diverged" for cell in cells) else "finished"


def _tried(cells: Sequence[Cell]) -> int:
    return len({cell.slot for cell in cells if cell.phase == SEARCH and cell.state == "done"})


def _count(cells: Sequence[Cell], coming: int) -> PhaseResult:
    ends = [cell.ended if cell.state == "done" else cell.state for cell in cells]
    return PhaseResult(
        epochs=sum(cell.epochs for cell in cells),
        finished=ends.count("finished"),
        pruned=ends.count("pruned"),
        diverged=ends.count("diverged"),
        too_large=sum(cell.ended == "diverged" and cell.reason is not None for cell in cells),
        failed=ends.count("failed"),
        open=ends.count("planned") + ends.count("leased") + coming,
    )
