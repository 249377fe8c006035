"""The verdict for readers who know no statistics: one sentence for the study, and one for each claim."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hpo.evidence.decisions import LEVEL
from hpo.metric import Metric
from hpo.report.numbers import number, signed
from hpo.report.verdict.results import ArmResult, ClaimResult, Interval, Report, Verdict
from hpo.words.nouns import count

ONE: dict[Verdict, str] = {
    "supported": "Yes: {}.",
    "contradicted": "It does not hold that {}.",
    "no difference": "It does not hold that {} by as much as would matter.",
    "undecided": "It is not decided whether {}.",
    "incomplete": "It can't be said whether {}, for trials have failed.",
}
"""The answer to a single claim."""
SEVERAL: dict[Verdict, tuple[str, str]] = {
    "supported": ("holds", "hold"),
    "contradicted": ("does not hold", "do not hold"),
    "no difference": ("comes to no difference that matters", "come to no difference that matters"),
    "undecided": ("is not decided", "are not decided"),
    "incomplete": ("can't be judged, for trials have failed", "can't be judged, for trials have failed"),
}
"""What one claim, or more than one, came to."""
NONE: dict[Verdict, str] = {"contradicted": "holds", "undecided": "is decided"}
"""What none of several claims does that all came to this."""
MOST_NAMES = 3
"""Arms that a sentence names; of more it gives their number."""


def answer(report: Report) -> str:
    """The verdict on the whole study in one sentence."""
    if not report.claims:
        return _best(report)
    if len(report.claims) == 1:
        [claim] = report.claims
        return ONE[claim.verdict].format(claim.text.rstrip(". "))
    found = [claim.verdict for claim in report.claims]
    counts = {verdict: found.count(verdict) for verdict in SEVERAL if verdict in found}
    n, alike = len(found), found[0]
    if len(counts) == 1 and alike in NONE:
        return f"{'Neither claim' if n == 2 else f'None of the {n} claims'} {NONE[alike]}."
    if len(counts) == 1:
        return f"{'Both' if n == 2 else f'All {n}'} claims {SEVERAL[alike][1]}."
    parts = [f"{k} {SEVERAL[verdict][k > 1]}" for verdict, k in counts.items()]
    return f"Of {n} claims {_and(parts)}."


def in_plain_words(claim: ClaimResult) -> str:
    """What was measured about a claim, and what that means for it, in one sentence."""
    found, metric = claim.difference, claim.metric
    if found is None:
        return "Nothing has been measured yet that could be compared."
    points = " points" if metric.share else ""
    if claim.is_plain:
        arm, than = claim.arms
        side = "higher" if found.difference > 0 else "lower"
        amount = f"{number(abs(found.difference), metric)}{points}"
        measured = f"The {metric.words} of {arm} is {amount} {side} than that of {than}"
    else:
        asked = f"slope along {claim.along}" if claim.along else "difference"
        measured = f"The {asked} in {metric.words} that was asked about is {signed(found.difference, metric)}{points}"
    return f"{measured}{_meaning(claim)}."


def rests_on(report: Report, devices: Sequence[str] = ()) -> str:
    """What the verdict rests on: how many seeds and searches, on equal compute or not, on which kinds of device."""
    n = sorted({arm.validation.n for arm in report.arms if arm.validation})
    searches = max((len(arm.configurations) for arm in report.arms), default=0)
    tried = sum(arm.tried for arm in report.arms)
    parts = []
    if n:
        of = count(n[0], report.compared_by) if len(n) == 1 else f"{n[0]} to {count(n[-1], report.compared_by)}"
        parts.append(f"{of} of each arm")
    if searches and report.compared_by == "seed":
        parts.append(f"{count(searches, 'search')} of each")
    parts.append(f"{count(tried, 'configuration')} tried in all")
    where = f" On {', '.join(devices)}." if devices else ""
    return f"Rests on {', '.join(parts)}. {report.compute}{where}"


def _meaning(claim: ClaimResult) -> str:
    found, metric = claim.difference, claim.metric
    if claim.verdict == "incomplete":
        return ", of fewer trials than were asked for"
    if found is None or found.low is None or found.high is None:
        return ", which is too little to tell more"
    it = "slope" if claim.along else "difference"
    if claim.verdict == "undecided" and found.p is not None and found.p < LEVEL <= (claim.p_corrected or 0.0):
        ends = _between((found.low, found.high), metric)
        return f"; with 95 % confidence the {it} lies {ends}, which is not sure enough among so many claims"
    if claim.verdict == "undecided":
        ends = _between((found.low, found.high), metric)
        return f"; but with 95 % confidence the {it} may be anything {ends}, which leaves the question open"
    if claim.matters and _is_small(claim):
        low, high = claim.matters
        if low != -high:
            return f"; with 95 % confidence the {it} lies {_between(claim.matters, metric)}, where it would not matter"
        least = f"{number(high, metric)}{' points' if metric.share else ''}"
        return f"; with 95 % confidence the {it} is smaller than the {least} that would matter in this study"
    return f"; with 95 % confidence the {it} lies {_between((found.low, found.high), metric)}"


def _between(ends: Interval, metric: Metric) -> str:
    low, high = (signed(end, metric) for end in ends)
    return f"between {low} and {high}{' points' if metric.share else ''}"


def _is_small(claim: ClaimResult) -> bool:
    """Whether the difference surely lies where it would not matter, and that is the answer."""
    found = claim.difference
    if claim.verdict == "no difference":
        return True
    if claim.verdict != "supported" or not claim.matters or found is None or found.low is None or found.high is None:
        return False
    return claim.matters[0] < found.low and found.high < claim.matters[1]


def _best(report: Report) -> str:
    """Which arm is best, and which can be told from the baseline, where nothing is claimed."""
    metric = report.metric
    known = {arm.name: mean for arm in report.arms if (mean := _mean(arm, metric)) is not None}
    if not known:
        return "There is nothing to say yet."
    best = min(known, key=lambda name: metric.place(known[name]))
    unit = " %" if metric.share else ""
    reached = f"{best} has the {metric.highest} {metric.words}, {number(known[best], metric)}{unit}"
    apart = list(_apart(report))
    if apart and len({arm.baseline for arm in report.arms}) > 1:  # arms in different settings can't be compared
        return f"Within the settings, {_and(apart)}."
    return f"{reached}; {_and(apart)}." if apart else f"{reached}."


def _apart(report: Report) -> Iterator[str]:
    compared = [arm for arm in report.arms if arm.comparison is not None]
    if not compared:
        return
    sure = [arm for arm in compared if arm.comparison and (arm.comparison.p_corrected or 1.0) < LEVEL]
    better = [arm.name for arm in sure if arm.difference and report.metric.is_better(arm.difference.difference, 0.0)]
    worse = [arm.name for arm in sure if arm.name not in better]
    for names, how in ((better, "better"), (worse, "worse")):
        if names:
            yield f"{_named(names)} {'is' if len(names) == 1 else 'are'} clearly {how} than {report.baseline}"
    if not sure:
        yield f"no arm can be told from {report.baseline}"


def _mean(arm: ArmResult, metric: Metric) -> float | None:
    found = arm.reached(metric)
    return found.mean if found else None


def _named(names: Sequence[str]) -> str:
    return _and(names) if len(names) <= MOST_NAMES else count(len(names), "arm")


def _and(parts: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else parts[0]
