"""A study that has begun may be put into other words, and into nothing else."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, update

from hpo.errors import StudyError
from hpo.service import begin_study
from hpo.storage import create_storage, tables
from hpo.study.corrections import changes_nothing, corrected
from hpo.study.file import parse
from tests.unit.report_samples import TRIAL

STUDY: dict[str, Any] = {
    "name": "corrected",
    "title": "Doos it?",
    "trial": TRIAL,
    "protocol": {"confirm": {"seeds": 2}},
    "arms": {
        "one": {"search": {"lr.peak": {"values": [0.1, 0.2]}, "optimizer": {"values": {"sgd": {"kind": "sgd"}}}}},
        "two": {},
    },
    "claims": [
        {"text": "one is better", "greater": {"arm": "one", "than": "two"}},
        {"text": "and sooner", "greater": {"arm": "one", "than": "two", "metric": "validation_accuracy", "at": 0.5}},
    ],
}
Change = Callable[[dict[str, Any]], object]


def changed(change: Change) -> dict[str, Any]:
    table = copy.deepcopy(STUDY)
    change(table)
    return table


@pytest.mark.parametrize(
    "change",
    [
        lambda table: None,
        lambda table: table.update(title="Does it?"),
        lambda table: table["claims"].reverse(),
        lambda table: table["claims"][0].update(text="one beats two"),
        lambda table: table["protocol"].update(attempts=9),
        lambda table: table.update(source={"document": "a paper"}),
        lambda table: table.update(published=[{"arm": "two", "value": 0.9, "where": "table 1"}]),
        lambda table: table["arms"]["one"].update(sampler={"kind": "grid"}),  # as without it
    ],
)
def test_words(change: Change) -> None:
    """The same results; what is stored then says what is given."""
    stored, given = parse(STUDY), parse(changed(change))
    assert changes_nothing(stored, given)
    assert given == corrected(stored, given)


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table["trial"].update(epochs=3),
        lambda table: table["arms"]["two"].update(trial={"lr": {"peak": 0.3}}),
        lambda table: table["arms"].update(three={}),
        lambda table: table["protocol"].update(seed=1),
        lambda table: table["protocol"].update(baseline="two"),
        lambda table: table["protocol"].update(select="best"),
        lambda table: table["protocol"].update(share_prefixes=True),
        lambda table: table["claims"].pop(),
        lambda table: table["claims"].append(table["claims"][0]),
        lambda table: table["claims"][0].update(less=table["claims"][0].pop("greater")),
        lambda table: table["claims"][0]["greater"].update(by=0.01),
        lambda table: table.update(name="another"),
    ],
)
def test_more_than_words(change: Change) -> None:
    """What is trained, chosen or tested differs."""
    stored, given = parse(STUDY), parse(changed(change))
    assert not changes_nothing(stored, given)
    assert changes_nothing(stored, corrected(stored, given))


def test_the_order_of_arms_stays() -> None:
    """The stored one has decided in which order cells are run."""
    stored = parse(STUDY)
    given = parse(STUDY | {"title": "x", "arms": dict(reversed(STUDY["arms"].items())), "protocol": STUDY["protocol"]})
    assert changes_nothing(stored, given) and ["one", "two"] == list(corrected(stored, given).arms)


def test_a_study_that_was_stored_before_a_field_was_there(sqlite_url: str) -> None:
    """It is the same study: its missing fields have their defaults."""
    storage = create_storage(sqlite_url)
    study = parse(STUDY)
    row = begin_study(storage, study)
    older = json.loads(row.spec)
    del older["protocol"]["select"], older["arms"]["one"]["search"]["optimizer"]["then"]
    with storage.engine.begin() as connection:
        connection.execute(update(tables.study).values(spec=json.dumps(older)))
        assert json.dumps(older) == connection.execute(select(tables.study.c.spec)).scalar()
    assert row.id == begin_study(storage, study).id
    with pytest.raises(StudyError, match=r"protocol\.seed: 0 -> 1"):
        begin_study(storage, parse(changed(lambda table: table["protocol"].update(seed=1))))
    storage.close()
