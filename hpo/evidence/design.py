"""How many confirm seeds each arm is to have: a function of the results alone, so that every worker finds the same.

With `until = "decided"` the seeds come in batches. All arms of the claims begin with one; after each, the arms of the
claims that are not decided get another, up to `most`. A claim is looked at under the seeds that all its arms have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hpo.evidence.decisions import assess, decide
from hpo.evidence.measured import after_the_end, judged_by, measured
from hpo.storage.rows import Cell
from hpo.storage.states import CONFIRM
from hpo.study import Claim, StudySpec


def confirm_seeds(study: StudySpec, cells: Sequence[Cell]) -> dict[str, int]:
    """Arm -> how many confirm seeds it is to have as things stand; `cells` are those of all arms."""
    confirm = study.protocol.confirm
    if confirm is None:
        return dict.fromkeys(study.arms, 0)
    wanted = dict.fromkeys(study.arms, confirm.seeds)
    if confirm.until is None:
        return wanted
    done = {arm: _by_seed(judged_by(study, [cell for cell in cells if cell.arm == arm])) for arm in study.arms}
    seeds = [study.protocol.seed_of(CONFIRM, 1, index) for index in range(confirm.largest)]
    arms_of = [{arm for pair in claim.comparison.pairs for arm in (pair.arm, pair.than)} for claim in study.claims]
    while all(seed in done[arm] for arms in arms_of for arm in arms for seed in seeds[: wanted[arm]]):
        before = dict(wanted)
        for arms, is_open in zip(arms_of, _undecided(study, done, seeds, wanted), strict=True):
            if is_open:
                enough = min(min(before[arm] for arm in arms) + confirm.seeds, confirm.largest)
                wanted |= {arm: max(wanted[arm], enough) for arm in arms}
        if wanted == before:
            break
    return wanted


def _by_seed(cells: Sequence[Cell]) -> dict[int, Cell]:
    return {cell.seed: cell for cell in cells}


def _undecided(
    study: StudySpec, done: Mapping[str, Mapping[int, Cell]], seeds: Sequence[int], number: Mapping[str, int]
) -> list[bool]:
    """Whether each claim is open under the first so many seeds of each arm; further ones would not help one of which
    trials without a value are part."""
    tests, lost = [], []
    for claim in study.claims:
        metric = study.metric_of(claim.comparison)
        sides = []
        for pair in claim.comparison.pairs:
            for arm in (pair.arm, pair.than):
                units = {seed: [done[arm][seed]] for seed in seeds[: number[arm]]}
                sides.append(measured([metric], units, after_the_end())[metric.name])
        lost.append(any(len(side) < number[arm] for side, arm in zip(sides, _arms(claim), strict=True)))
        a, b = sides[:2] if len(sides) == 2 else (_minus(*sides[:2]), _minus(*sides[2:]))
        tests.append(assess(claim, a, b, anytime=True))
    decisions = decide(study.claims, tests)
    return [decision.answer is None and not one for decision, one in zip(decisions, lost, strict=True)]


def _arms(claim: Claim) -> list[str]:
    return [arm for pair in claim.comparison.pairs for arm in (pair.arm, pair.than)]


def _minus(a: Mapping[int, float], b: Mapping[int, float]) -> dict[int, float]:
    return {seed: a[seed] - b[seed] for seed in a.keys() & b.keys()}
