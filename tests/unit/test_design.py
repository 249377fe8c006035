"""Seeds that are added until the claims are decided."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hpo.errors import StudyFileError
from hpo.evidence.design import confirm_seeds
from hpo.plan import changes, first_cells
from hpo.report.verdict.compare import compare
from hpo.seeds import derive
from hpo.storage.rows import Cell
from hpo.study import StudySpec
from tests.unit.report_samples import study as sample
from tests.unit.test_plan import done as ended

DESIGN = {"seeds": 5, "most": 20, "until": "decided"}


def claim(arm: str, than: str = "grid", **more: Any) -> dict[str, Any]:
    return {"text": f"{arm} is better", "greater": {"arm": arm, "than": than, "metric": "test_accuracy"} | more}


def study(*claims: dict[str, Any]) -> StudySpec:
    """Three arms, and claims on some of them."""
    return sample(arms=("grid", "ramp", "slow"), confirm=DESIGN, claims=list(claims))  # type: ignore[arg-type]


class Ledger:
    """A ledger in memory: a trial measures what `means` says of its arm, and what its seed adds."""

    def __init__(self, plan: StudySpec, means: dict[str, float], spread: float) -> None:
        self.plan, self.means, self.spread = plan, means, spread
        self.cells: list[Cell] = []
        self._run(first_cells(plan))

    def _run(self, planned: Any) -> None:
        for one in planned:
            noise = derive(one.arm, one.seed) / 2**32 - 0.5
            value = self.means[one.arm] + self.spread * noise
            score = 0.5 - one.slot / 10 if one.phase == "search" else value
            metrics = {"validation_accuracy": value, "test_accuracy": value}
            self.cells.append(replace(ended(one, score=score), metrics=metrics))

    def finish(self) -> dict[str, int]:
        """Run until nothing follows; how many confirm seeds each arm has then."""
        while added := changes(self.plan, self.cells).added:
            self._run(added)
        return {arm: sum((cell.arm, cell.phase) == (arm, "confirm") for cell in self.cells) for arm in self.plan.arms}


def test_what_is_plain_takes_one_batch() -> None:
    """Half of all points better, under the first five seeds."""
    ledger = Ledger(study(claim("ramp")), {"grid": 0.4, "ramp": 0.9, "slow": 0.4}, 0.02)
    assert {"grid": 5, "ramp": 5, "slow": 5} == ledger.finish()
    [found] = compare(ledger.plan, ledger.cells).claims
    assert "supported" == found.verdict and not found.provisional


def test_only_arms_of_open_claims_get_more() -> None:
    """The one that is decided stays; what is not gets seeds to the most; an arm without a claim has the first five."""
    ledger = Ledger(study(claim("ramp")), {"grid": 0.5, "ramp": 0.5, "slow": 0.9}, 0.02)
    assert {"grid": 20, "ramp": 20, "slow": 5} == ledger.finish()
    both = Ledger(study(claim("ramp"), claim("slow")), {"grid": 0.5, "ramp": 0.5, "slow": 0.9}, 0.02)
    assert {"grid": 20, "ramp": 20, "slow": 5} == both.finish()
    verdicts = [found.verdict for found in compare(both.plan, both.cells).claims]
    assert ["undecided", "supported"] == verdicts


def test_the_plan_is_a_function_of_the_results() -> None:
    """Whoever looks later finds the same; with results missing, no more than these allow is wanted."""
    ledger = Ledger(study(claim("ramp")), {"grid": 0.5, "ramp": 0.5, "slow": 0.9}, 0.02)
    ledger.finish()
    assert {"grid": 20, "ramp": 20, "slow": 5} == confirm_seeds(ledger.plan, ledger.cells)
    sixth = ledger.plan.protocol.seed_of("confirm", 1, 5)
    without = [cell for cell in ledger.cells if not (cell.arm == "ramp" and cell.seed == sixth)]
    assert {"grid": 10, "ramp": 10, "slow": 5} == confirm_seeds(ledger.plan, without)


def test_the_report_says_how_it_was_decided() -> None:
    """The rule, the most seeds, and no advice for more."""
    ledger = Ledger(study(claim("ramp")), {"grid": 0.5, "ramp": 0.5, "slow": 0.9}, 0.02)
    ledger.finish()
    report = compare(ledger.plan, ledger.cells)
    rules = " ".join(report.rules)
    assert "5 at a time until its claims are decided and 20 at most" in rules and "1 / e < 0.05" in rules
    [found] = report.claims
    assert "over 20 paired seeds" in found.reason and "At most 20 seeds were declared." in found.reason
    assert "would take" not in found.reason and found.needed is None


@pytest.mark.parametrize(
    ("confirm", "said"),
    [
        ({"most": 20}, "give `until` and `most` together"),
        ({"until": "decided"}, "give `until` and `most` together"),
        ({"most": 3, "until": "decided"}, "most (3) must be at least seeds (5)"),
        ({"most": 20, "until": "decided", "top": 2}, "leave `top` out"),
    ],
)
def test_designs_that_are_none(confirm: dict[str, Any], said: str) -> None:
    """One clear line each."""
    with pytest.raises(StudyFileError) as caught:
        sample(confirm={"seeds": 5} | confirm, claims=[claim("ramp")])
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ([], "the study makes no claim that could be decided"),
        ([claim("ramp", metric="validation_accuracy", at=0.5)], "claims.0.greater.at: with protocol.confirm.until"),
        ([claim("ramp", metric="train_accuracy")], "claims.0.greater.metric: with protocol.confirm.until"),
    ],
)
def test_claims_that_can_not_be_followed(claims: list[dict[str, Any]], said: str) -> None:
    """None at all, or on what is not known where seeds are planned."""
    with pytest.raises(StudyFileError) as caught:
        sample(confirm=DESIGN, claims=claims)  # type: ignore[arg-type]
    assert said in str(caught.value)
