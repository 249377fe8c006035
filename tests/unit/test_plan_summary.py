"""What `hpo check` says that a study can decide, and what its claims are about."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from hpo.report.render.plan_summary import plan_summary
from hpo.study.file import parse
from tests.unit.report_samples import TRIAL


def said(**protocol: Any) -> str:
    """The plan of two arms that search and one claim, on one line."""
    search = {"lr.peak": {"values": [0.1, 0.2]}}
    claims = [{"text": "a is better", "greater": {"arm": "a", "than": "b"}}]
    arms = {"a": {"search": search}, "b": {"search": search}}
    study = parse({"name": "s", "trial": TRIAL, "arms": arms, "protocol": protocol, "claims": claims})
    console = Console(width=80)
    with console.capture() as shown:
        console.print(plan_summary(study))
    return " ".join(shown.get().split())


def test_with_one_search() -> None:
    """In whole sentences: what can be found, and how to ask about the searches instead."""
    told = said(confirm={"seeds": 5})
    assert "with 5 seeds and 1 claim, a true difference of 1.7 standard deviations is found 80 % of the time." in told
    assert "The standard deviation is that of the difference between two arms from seed to seed." in told
    assert "what they are about: the configurations that one search of each arm chooses. To compare the ways of" in told
    assert "set protocol.searches = 5 and protocol.confirm.seeds = 1: that is as many confirm trials but 5 sear" in told


def test_with_several_searches() -> None:
    """The unit is a search, and nothing is to be said about what the claims are about."""
    told = said(searches=4, confirm={"seeds": 1})
    assert "difference between two arms from search to search." in told
    assert "what they are about" not in told


def test_until_decided() -> None:
    """How often they are tested."""
    told = said(confirm={"seeds": 5, "most": 40, "until": "decided"})
    assert "what they can decide: they are tested after every 5 seeds, up to 40 of them" in told
