"""Whether the claims of a study hold, in words. What decides them is in `hpo.evidence.decisions`.

The shown interval is not corrected for the number of claims; it excludes the margin whenever a difference is decided.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from hpo.evidence.contrasts import compared_arms, minus, sides
from hpo.evidence.decisions import LEVEL, Assessment, Decision, answer_beyond, assess, bounds, decide, untested
from hpo.evidence.measured import Values, unit_noun
from hpo.evidence.power import MOST_SEEDS, seeds_needed, smallest_effect
from hpo.evidence.statistics import Paired, equal_seeds
from hpo.metric import Metric
from hpo.report.numbers import change, number, p_value, probability, signed
from hpo.report.verdict.results import ClaimResult, Verdict
from hpo.study import Claim, Pair, StudySpec
from hpo.words.nouns import count, plural

Earlier = Mapping[tuple[str, float], Values]
"""(arm, share of its epochs) -> what validation measured after these."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What is known of the arms that claims are about, by arm."""

    values: Mapping[str, Values]
    unfinished: Collection[str] = ()
    """Arms of which trials are still to come: a claim on one is provisional."""
    failing: Mapping[str, str] = field(default_factory=dict)
    """Arms of which trials have failed, and how many: a claim on one is incomplete, whatever the others say, for what
    would be compared is not what the study asked for."""
    ends: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    """Unit -> how the trials ended that the arm is judged by: those that have no value diverged or overflowed."""
    earlier: Earlier = field(default_factory=dict)
    ignored: Mapping[str, int] = field(default_factory=dict)
    """Arms whose trials are the same under all seeds -> how many: one result, which no test may count so often."""


def judge(study: StudySpec, measured: Measured) -> tuple[ClaimResult, ...]:
    """The verdict on every claim of the study."""
    found = [_Judged(study, claim, *_test(study, claim, measured), measured) for claim in study.claims]
    # One that decides nothing is held among the others to the end: it makes none of them easier.
    decisions = decide(study.claims, [one.test if one.may_decide else untested(one.test) for one in found])
    return tuple(one.result(decision) for one, decision in zip(found, decisions, strict=True))


def _test(study: StudySpec, claim: Claim, measured: Measured) -> tuple[Assessment, Mapping[int, float]]:
    """The test of a claim, and the differences that it is a test of."""
    metric = study.metric_of(claim.comparison).name
    a, b = sides(study, claim.comparison, lambda arm, at: _side(arm, at, measured)[metric])
    return assess(claim, a, b, anytime=study.protocol.is_sequential), minus(a, b)


def _side(arm: str, at: float | None, measured: Measured) -> Values:
    return measured.values[arm] if at is None else measured.earlier[arm, at]


@dataclass(frozen=True, slots=True)
class _Judged:
    """One claim, with all that its verdict rests on."""

    study: StudySpec
    claim: Claim
    test: Assessment
    by_unit: Mapping[int, float]
    measured: Measured

    @property
    def may_decide(self) -> bool:
        """Whether the test may answer the claim: all trials that it asks about have a value, and one of their own."""
        return not (self._missing() or self._lost() or self._ignored())

    def _missing(self) -> list[str]:
        """Which trials have failed, in words."""
        return list(dict.fromkeys(line for arm, line in self.measured.failing.items() if arm in self.arms))

    def _ignored(self) -> dict[str, int]:
        """The arms that ignore the seed -> how many seeds."""
        return {arm: n for arm, n in self.measured.ignored.items() if arm in self.arms}

    def result(self, decision: Decision) -> ClaimResult:
        """The verdict, and why."""
        missing, lost, ignored, arms = self._missing(), self._lost(), self._ignored(), self.arms
        low, high = bounds(self.claim)
        verdict: Verdict = "incomplete" if missing else decision.answer or "undecided"
        is_open = verdict == "undecided" and self.may_decide
        parts = [
            f"{self._compared()}: {self._found(decision)}.",
            chosen_by(self.study, self.names),
            *(self._outlook() if is_open else ()),
            *(f"{seed_ignored(arm, n)}." for arm, n in ignored.items()),
            self._left_out(lost),
            f"The claim can't be judged: {', '.join(missing)}." if missing else "",
        ]
        return ClaimResult(
            text=self.claim.text,
            verdict=verdict,
            reason=" ".join(part for part in parts if part),
            difference=self.test.difference,
            p_corrected=decision.p_corrected,
            needed=self._needed() if is_open else None,
            metric=self.metric,
            provisional=bool(missing) or any(arm in self.measured.unfinished for arm in arms),
            arms=arms,
            compared=self._difference(),
            is_plain=len(arms) == 2 and self._difference() == " - ".join(arms),
            along=self.claim.comparison.along,
            by_unit=self.by_unit,
            matters=None if low is None or high is None else (low, high),
        )

    @property
    def metric(self) -> Metric:
        return self.study.metric_of(self.claim.comparison)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        return self.claim.comparison.pairs

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that are compared, each once."""
        return tuple(dict.fromkeys(arm for arm, _ in compared_arms(self.study, self.claim.comparison)))

    @property
    def names(self) -> tuple[str, ...]:
        """The arms as the claim names them."""
        return tuple(dict.fromkeys(arm for pair in self.pairs for arm in (pair.arm, pair.than)))

    @property
    def noun(self) -> str:
        return unit_noun(self.study)

    @property
    def level(self) -> float:
        """That of the strictest of Holm's tests, which a study of as many claims has to reach."""
        return LEVEL / len(self.study.claims)

    def _compared(self) -> str:
        """`ramp - grid after 25 % of the epochs, test accuracy`."""
        return f"{self._difference()}, {self.metric.words}"

    def _difference(self) -> str:
        texts = [self._text_of(pair) for pair in self.pairs]
        compared = texts[0] if len(texts) == 1 else " - ".join(f"({text})" for text in texts)
        if self.claim.comparison.along:
            compared = f"slope of {compared} along {self.claim.comparison.along}"
        return compared

    def _text_of(self, pair: Pair) -> str:
        settings = len(self.study.meant_by(pair.arm))
        over = f", mean of {settings} settings" if settings > 1 and not self.claim.comparison.along else ""
        when = f" after {100 * pair.at:.3g} % of the {self.study.unit}s" if pair.at else ""
        return f"{pair.arm} - {pair.than}{over}{when}"

    def _found(self, decision: Decision) -> str:
        """The difference, what it rests on, and where its interval lies."""
        difference, p = self.test.difference, decision.p_corrected
        if difference is None:
            return f"no {self.noun} in common so far; an interval needs at least two"
        points = " points" if self.metric.share else ""
        found = f"{change(difference, self.metric)}{points} over {count(difference.n, f'paired {self.noun}')}"
        if difference.p is None or self.test.p is None:
            return f"{found}; an interval needs at least two"
        if difference.low is None:
            if difference.std:
                return f"{found}; too few for an interval that stays valid however often one looks"
            return f"{found}; all are equal, and an interval then needs {equal_seeds(LEVEL)}"
        uncorrected = "" if p in (None, self.test.p) else f", {probability(p)} corrected for the number of claims"
        where = self._where(difference, decision)
        if p is not None and self.test.p < LEVEL <= p:
            where += ", but not clearly enough for this number of claims"
        of = "" if (width := self._within(difference, decision)) is None else f" for one of {width} or more"
        return f"{found} ({p_value(self.test.p)}{of}{uncorrected}); {where}"

    def _within(self, difference: Paired, decision: Decision) -> str | None:
        """How far from the margin a difference would matter, where it surely is nearer and that is the answer."""
        low, high = bounds(self.claim)
        is_apart = decision.answer is not None and decision.answer == answer_beyond(self.claim, difference)
        is_within = self.test.p_within is not None and self.test.p_within < LEVEL and not is_apart
        return number((high - low) / 2, self.metric) if low is not None and high is not None and is_within else None

    def _where(self, difference: Paired, decision: Decision) -> str:
        low, high = bounds(self.claim)
        if (width := self._within(difference, decision)) is not None:
            middle = "" if self.claim.margin == 0 else f" of {signed(self.claim.margin, self.metric)}"
            its = "it" if self.study.protocol.is_sequential else "its 90 % interval"
            return f"{its} lies within {width}{middle}, so there is no difference that matters"
        if self.claim.equal:
            limit = signed(low if difference.difference < 0 else high, self.metric)  # type: ignore[arg-type]
        else:
            limit = "0" if self.claim.margin == 0 else signed(self.claim.margin, self.metric)
        if self.test.p_beyond is None or self.test.p_beyond >= LEVEL:
            return f"it does not exclude {limit}"
        return f"all of it is {'above' if difference.difference > self.claim.margin else 'below'} {limit}"

    def _needed(self) -> int | None:
        difference = self.test.difference
        if difference is None or difference.p is None or self.study.protocol.is_sequential or self.claim.equal:
            return None
        return seeds_needed(difference, self.claim.margin, self.level)

    def _outlook(self) -> Iterator[str]:
        """What a study of its own would take, as far as the interval of the difference tells; and what n units can
        find."""
        difference, noun = self.test.difference, plural(self.noun)
        if difference is None or difference.p is None:
            return
        confirm = self.study.protocol.confirm
        if confirm is not None and confirm.until is not None:
            yield f"At most {confirm.most} {noun} were declared."
            return
        if not difference.std or difference.low is None or difference.high is None:
            if (needed := self._needed()) is not None:
                yield f"A new study would need {needed} {noun}, if all differ by as much."
            return
        if self.claim.equal:
            return
        margin = self.claim.margin
        farthest = max((difference.low, difference.high), key=lambda end: abs(end - margin))
        fewest = seeds_needed(Paired(difference.n, farthest, None, None, None, difference.std), margin, self.level)
        measured = seeds_needed(difference, margin, self.level)
        nothing = "" if self.claim.matters else "; if there is no difference, no number decides it"
        if fewest is not None:
            as_measured = f"{measured}" if measured is not None else f"more than {MOST_SEEDS}"
            yield (
                f"A new study would need about {fewest} {noun} if the difference is "
                f"{signed(farthest, self.metric)}, {as_measured} if it is as measured{nothing}."
            )
        least = smallest_effect(difference.n, self.level) * difference.std
        unit = " points" if self.metric.share else ""
        yield f"{difference.n} {noun} can find differences of at least {number(least, self.metric)}{unit}."

    def _lost(self) -> dict[str, int]:
        """Arm -> under how many units it has no value; those that it has are the luckier ones."""
        lost: dict[str, int] = {}
        for arm, at in compared_arms(self.study, self.claim.comparison):
            ends = self.measured.ends.get(arm, {})
            without = ends.keys() - _side(arm, at, self.measured)[self.metric.name].keys()
            if at is not None:  # one that has not come so far yet is only late
                without = {unit for unit in without if ends[unit] == "diverged"}
            lost[arm] = max(lost.get(arm, 0), len(without))
        return {arm: n for arm, n in lost.items() if n}

    def _left_out(self, lost: Mapping[str, int]) -> str:
        """Says so where a comparison is without the units that have none."""
        if not lost:
            return ""
        under = {arm: f"{count(n, self.noun)} that diverged or overflowed" for arm, n in lost.items()}
        lines = [f"{arm} has no {self.metric.words} under {units}" for arm, units in under.items()]
        return f"Left out: {', '.join(lines)}; those that remain can't decide the claim."


def chosen_by(study: StudySpec, names: Iterable[str]) -> str:
    """What is compared, where another search would have chosen something else; empty where none would."""
    searched = [name for name in names if any(study.arms[arm].search for arm in study.meant_by(name))]
    if not searched or study.protocol.searches > 1:
        return ""
    return f"This is about what one search of {' and one of '.join(searched)} chose."


def seed_ignored(arm: str, seeds: int) -> str:
    """What the trials of an arm show that are the same under all seeds."""
    return (
        f"{arm} measured the same with all its {seeds} seeds: it ignores the seed, so this is one result, not {seeds}"
    )
