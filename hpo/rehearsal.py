"""A trial rehearsed before a budget is spent on hundreds of them: what every guarantee rests on, measured.

One short trial is run several times, by its trainer, without a database: to its end, again with the same seed, with
another one, stopped and resumed, and pruned at once. What is compared is all that it reports.
"""

from __future__ import annotations

import math
import os
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from hpo.errors import HpoError, MachineError, SickMachine, StudyFileError
from hpo.search.parameters import point
from hpo.study import StudySpec, parse_trial
from hpo.study.rehearsed import Finding, Rehearsal
from hpo.trainers.trainer import SPENT, Evaluation, Result
from hpo.words.failure import cause

UNITS = 3
"""The length of a rehearsed trial, if the trial can be so short."""
CLOSE = 1e-3
"""The largest relative difference of numbers that count as nearly the same."""
TO_ITS_END = "runs to its end"
SAME_SEED = "the same seed gives the same numbers"
OTHER_SEED = "another seed gives other numbers"
STOPPED = "continues where it was stopped"
KILLED = "continues where it was saved, if it is killed"
PRUNED = "ends when it is pruned"
SCORED = "is scored on test in the confirm phase"
OF_TIME = ("images_per_second", SPENT)
"""Metrics whose names begin so tell of time, and differ from run to run."""

Numbers = list[tuple[int, dict[str, float]]]


class _TrialRaised(Exception):
    """A rehearsed trial has raised; the message says why in one line."""


@dataclass
class _Run:
    """The `Trial` of one run, which notes what it reports."""

    config: Any
    seed: int
    device: str
    scores_test: bool = False
    checkpoint: bytes | None = None
    stop_after: int | None = None
    """Units after which it is to stop and hand back a checkpoint."""
    prune_after: int | None = None
    study: str = "rehearsal"
    name: str = "rehearsal/trial"
    keeps_weights: bool = False
    reported: Numbers = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    """Wall time from each report to the next, the first from the beginning."""
    saved: bytes | None = None
    can_be_saved: bool = True

    def looks_at(self, at: int) -> bool:
        return True

    def report(self, evaluation: Evaluation, save: Callable[[], bytes] | None) -> bool:
        told = {name: value for name, value in evaluation.metrics.items() if not name.startswith(OF_TIME)}
        self.reported.append((evaluation.at, told))
        self.seconds.append(evaluation.seconds)
        if save is None:
            self.can_be_saved = False
        elif evaluation.at == 1:
            self.saved = save()
        return evaluation.at != self.prune_after

    def should_stop(self) -> bool:
        return self.stop_after is not None and len(self.reported) >= self.stop_after


def rehearse(
    study: StudySpec, arm: str, device: str = "auto", on_raise: Callable[[str], None] = lambda text: None
) -> Rehearsal:
    """Rehearse the first trial of an arm's search. `on_raise` is told all that a trial which raises has said.

    Raises:
        HpoError: this machine lacks what the trial needs, or has failed.
    """
    trainer = study.trainer
    trials = study.trials
    os.environ |= dict(trainer.allows(trials))
    config = _short(study, arm)
    on = trainer.machine(device)
    on.examine()
    trainer.identity(config, trials, "rehearsal")

    def run(seed: int, **options: Any) -> tuple[_Run, Result]:
        made = _Run(config, seed, on.device, **options)
        try:
            return made, trainer.run(made)
        except (MachineError, SickMachine):
            raise
        except Exception as error:
            if on.is_to_blame(error):
                raise HpoError(f"the device failed: {error}", hint="see what else uses it, then try again") from error
            on_raise(str(error))
            why = str(error) if isinstance(error, HpoError) else cause("".join(traceback.format_exception(error)))
            raise _TrialRaised(why) from error

    seed = study.protocol.seed
    began = time.monotonic()
    try:
        first, result = run(seed)
    except _TrialRaised as error:  # nothing can be compared with it, and nobody knows what a trial costs
        finding = Finding(TO_ITS_END, "bad", str(error))
        return Rehearsal(
            arm=arm,
            code=trainer.code(trials),
            findings=(finding,),
            units=0,
            seconds_to_start=0.0,
            seconds_per_unit=0.0,
            checkpoint_bytes=None,
        )
    seconds = time.monotonic() - began
    findings = [
        _to_its_end(study, first, result),
        _says_nothing_of_test(first, result),
        *_looked_at(SAME_SEED, lambda: _same_seed(first, run(seed)[0])),
        *_looked_at(OTHER_SEED, lambda: _other_seed(first, run(seed + 1)[0])),
        *_resumed(first, run),
        *_looked_at(PRUNED, lambda: _pruned(*run(seed, prune_after=1))),
    ]
    if study.protocol.confirm is not None:
        findings += _looked_at(SCORED, lambda: _scored_on_test(study, run(seed, scores_test=True)[1]))
    units = len(first.reported)
    per_unit = fmean(first.seconds[1:] or first.seconds or [seconds])
    return Rehearsal(
        arm=arm,
        code=trainer.code(trials),
        findings=tuple(findings),
        units=units,
        seconds_to_start=max(seconds - units * per_unit, 0.0),
        seconds_per_unit=per_unit,
        checkpoint_bytes=None if first.saved is None else len(first.saved),
    )


def _looked_at(about: str, look: Callable[[], Finding]) -> list[Finding]:
    """What a look at a further run finds: that it has raised, in any case."""
    try:
        return [look()]
    except _TrialRaised as error:
        return [Finding(about, "bad", str(error))]


def _short(study: StudySpec, arm: str) -> Any:
    """The first trial of an arm's search, as short as it may be."""
    params = point(study.arms[arm].search, lambda _, searched: searched.examples()[0])
    whole = study.table_of(arm, params)
    shorter = whole | dict(study.trainer.shortened(whole, UNITS))
    where = f"arms.{arm}.trial"
    try:
        return parse_trial(shorter, where)
    except StudyFileError:  # such as stages that must add up to its length
        return parse_trial(whole, where)


def _to_its_end(study: StudySpec, run: _Run, result: Result) -> Finding:
    objective = study.objective.name
    values = [metrics.get(objective) for _, metrics in run.reported]
    if not values or None in values:
        return Finding(TO_ITS_END, "bad", f"it does not report {objective}")
    last = values[-1]
    assert last is not None
    if not math.isfinite(last):
        return Finding(TO_ITS_END, "bad", f"{objective} is {last}")
    if not result.finished:
        return Finding(TO_ITS_END, "bad", f"it stopped early, after {len(values)} of its units")
    return Finding(TO_ITS_END, "good", f"{len(values)} reports, {objective} {last:.6g} at the end")


def _says_nothing_of_test(run: _Run, result: Result) -> Finding:
    about = "keeps test out of the search"
    told = sorted({name for _, metrics in run.reported for name in metrics if name.startswith("test")} | {*result.test})
    if told:
        return Finding(about, "bad", f"it reports {', '.join(told)} in the search, where nobody should see it")
    return Finding(about, "good", "nothing of test is reported in the search")


def _same_seed(first: _Run, again: _Run) -> Finding:
    difference = _difference(first.reported, again.reported)
    if difference is None:
        return Finding(SAME_SEED, "good", "bit for bit")
    return Finding(SAME_SEED, "weak", f"{difference}: a trial can't be repeated")


def _other_seed(first: _Run, other: _Run) -> Finding:
    if _difference(first.reported, other.reported) is None:
        words = "they are the same, so several seeds would count one number several times; use trial.seed"
        if len(first.reported) > 1 and len({tuple(metrics.items()) for _, metrics in first.reported}) == 1:
            words = "they are the same from beginning to end: does it train at all, and is this its loss?"
        return Finding(OTHER_SEED, "bad", words)
    return Finding(OTHER_SEED, "good", "they differ")


def _resumed(first: _Run, run: Callable[..., tuple[_Run, Result]]) -> Iterator[Finding]:
    """Stopped after a unit, and killed after one: what another worker makes of it."""
    if len(first.reported) < 2:
        return
    if not first.can_be_saved:
        yield Finding(STOPPED, "weak", "it can't be saved, so a trial that is interrupted starts over")
        return

    def stopped() -> Finding:
        made, result = run(first.seed, stop_after=1)
        return continued(STOPPED, result.checkpoint, made.reported[:1])

    def continued(about: str, checkpoint: bytes | None, before: Numbers) -> Finding:
        if checkpoint is None:
            return Finding(about, "weak", "it did not return a checkpoint in time, and continues from its last save")
        resumed, _ = run(first.seed, checkpoint=checkpoint)
        return _gone_on(about, first.reported, before, resumed.reported)

    yield from _looked_at(STOPPED, stopped)
    yield from _looked_at(KILLED, lambda: continued(KILLED, first.saved, first.reported[:1]))


def _gone_on(about: str, whole: Numbers, before: Numbers, after: Numbers) -> Finding:
    if after and after[0][0] == 1:
        return Finding(about, "weak", "it starts over, although it was given a checkpoint")
    difference = _difference(whole, before + after)
    if difference is None:
        return Finding(about, "good", "with the same numbers, bit for bit")
    if _difference(whole, before + after, CLOSE) is None:
        return Finding(about, "weak", f"with nearly the same numbers: {difference}")
    return Finding(about, "bad", f"with other numbers: {difference}; keep everything that training depends on")


def _pruned(run: _Run, result: Result) -> Finding:
    if len(run.reported) > 1 or result.finished:
        return Finding(PRUNED, "bad", f"it went on for {len(run.reported)} units")
    return Finding(PRUNED, "good", "at once")


def _scored_on_test(study: StudySpec, result: Result) -> Finding:
    wanted = study.objective.on("test").name
    if wanted not in result.test:
        return Finding(SCORED, "bad", f"it does not give {wanted}")
    return Finding(SCORED, "good", f"{wanted} {result.test[wanted]:.6g}")


def _difference(one: Numbers, other: Numbers, tolerance: float = 0.0) -> str | None:
    """The first number in which two runs differ, in words; None if there is none."""
    if [at for at, _ in one] != [at for at, _ in other]:
        return f"{len(one)} reports and {len(other)}"
    for (at, mine), (_, theirs) in zip(one, other, strict=True):
        for name in sorted({*mine, *theirs}):
            if not _alike(mine, theirs, name, tolerance):
                return f"{name} after {at} is {mine.get(name)} and {theirs.get(name)}"
    return None


def _alike(mine: Mapping[str, float], theirs: Mapping[str, float], name: str, tolerance: float) -> bool:
    one, other = mine.get(name), theirs.get(name)
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=tolerance) or (math.isnan(one) and math.isnan(other))
