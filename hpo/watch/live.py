"""Studies while they run, for a browser: `/live`, `/live/STUDY`, and what the page shows as `/live/STUDY.json`.

All of it is only read. However many pages are open, a study is looked at once a second.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from threading import Lock
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError

from hpo.errors import HpoError, StudyError
from hpo.report.numbers import number
from hpo.storage import Storage
from hpo.storage.connection.sqlstate import describe
from hpo.watch.live_page import LIVE, index_page, live_page, policy
from hpo.watch.overview import ArmGlance, Overview, Watcher
from hpo.watch.progress import alive_workers, in_unit, standings
from hpo.words.nouns import count
from hpo.words.visible import on_one_line

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

LOOK_SECONDS = 1.0
HTML, JSON = "text/html; charset=utf-8", "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with."""

    body: str
    kind: str = HTML
    status: HTTPStatus = HTTPStatus.OK


def with_live_pages(app: WSGIApplication, storage: Storage) -> WSGIApplication:
    """`app`, and the pages of `storage` at their addresses."""
    pages = LivePages(storage)

    def application(environment: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environment["PATH_INFO"]
        if path != LIVE and not path.startswith(f"{LIVE}/"):
            return app(environment, start_response)
        answer = pages.answer(environment["REQUEST_METHOD"], path)
        body = answer.body.encode()
        headers = [
            ("Content-Type", answer.kind),
            ("Content-Length", str(len(body))),
            ("Content-Security-Policy", f"{policy()}; frame-ancestors 'self'"),
            ("Cache-Control", "no-store"),
        ]
        start_response(f"{answer.status.value} {answer.status.phrase}", headers)
        return [] if environment["REQUEST_METHOD"] == "HEAD" else [body]

    return application


class LivePages:
    """Answers requests, from several threads."""

    def __init__(self, storage: Storage, clock: Callable[[], float] = time.monotonic) -> None:
        self._storage = storage
        self._watcher = Watcher(storage)
        self._clock = clock
        self._one_at_a_time = Lock()
        self._known: dict[str, tuple[float, str]] = {}

    def answer(self, method: str, path: str) -> Answer:
        """What is to be said to a request; where there is no such study, or no database, why."""
        if method not in ("GET", "HEAD"):
            return _refused("this is only to be read", HTTPStatus.METHOD_NOT_ALLOWED)
        name = path.removeprefix(LIVE).strip("/").encode("latin-1").decode(errors="replace")
        try:
            if not name:
                return Answer(index_page(standings(self._storage, None, len(alive_workers(self._storage)))))
            if name.endswith(".json"):
                return Answer(self._look(name.removesuffix(".json")), JSON)
            return Answer(live_page(self._storage.ledger.study(name).name))
        except StudyError as error:
            return _refused(str(error), HTTPStatus.NOT_FOUND)
        except HpoError as error:
            return _refused(str(error), HTTPStatus.SERVICE_UNAVAILABLE)
        except SQLAlchemyError as error:
            return _refused(str(describe(error, self._storage.url)), HTTPStatus.SERVICE_UNAVAILABLE)

    def _look(self, name: str) -> str:
        with self._one_at_a_time:
            looked_at, said = self._known.get(name, (0.0, ""))
            if not said or self._clock() - looked_at >= LOOK_SECONDS:
                [overview] = self._watcher.look(name)
                said = json.dumps(as_json(overview))
                self._known[name] = (self._clock(), said)
            return said


def as_json(overview: Overview) -> dict[str, Any]:
    """What the page shows; every text is one that shows what it holds."""
    return {
        "name": overview.name,
        "state": overview.state,
        "isOver": overview.is_over,
        "doing": on_one_line(overview.doing),
        "timeLeft": overview.time_left,
        "done": overview.done,
        "total": overview.total,
        "metric": overview.metric.words,
        "arms": [_arm(arm, overview) for arm in overview.arms],
        "claims": [
            {"leans": one.leans, "text": on_one_line(one.text), "measured": on_one_line(one.measured)}
            for one in overview.leanings
        ],
        "workers": [on_one_line(line) for line in overview.workers],
        "lastFailure": on_one_line(overview.last_failure),
    }


def _arm(arm: ArmGlance, overview: Overview) -> dict[str, Any]:
    metric, unit = overview.metric, overview.unit
    in_words = ""
    if arm.curve:
        first, last = (number(value, metric) for value in (arm.curve[0], arm.curve[-1]))
        in_words = f"Its {metric.words}: {first} after the first {unit}, {last} after {count(len(arm.curve), unit)}"
    return {
        "name": on_one_line(arm.name),
        "done": arm.done,
        "total": arm.total,
        "failed": arm.failed,
        "best": "" if arm.best is None else in_unit(arm.best, metric),
        "curve": arm.curve,
        "curveInWords": in_words,
    }


def _refused(reason: str, status: HTTPStatus) -> Answer:
    return Answer(json.dumps({"reason": reason}), JSON, status)
