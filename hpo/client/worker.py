"""Whom a trial talks to: the worker that has started this process, or nobody if a person has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hpo.client.channel import Channel, Socket
from hpo.client.ranks import among, rank, ranks


class Worker:
    """The worker that has started this process, or the first of several ranks."""

    def __init__(self, path: str) -> None:
        self._channel: Channel = among(path) if ranks() > 1 else Socket(path)
        self.given = self._ask({"say": "hello"})

    def moved(self, at: float) -> dict[str, float]:
        """The values that move, after so many units."""
        found: dict[str, float] = self._ask({"say": "moved", "at": at})["values"]
        return found

    def report(self, at: int, metrics: Mapping[str, float], save: Callable[[], None]) -> bool:
        """Tell what was measured, and save if that is due; whether the trial goes on."""
        answer = self._ask({"say": "report", "at": at, "metrics": metrics})
        while answer.get("save"):
            save()
            answer = self._ask({"say": "saved"})
        return bool(answer["goes_on"])

    def finish(self, metrics: Mapping[str, float]) -> None:
        """Say that this is all."""
        self._ask({"say": "finish", "metrics": metrics})

    def _ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        answer = self._channel.ask(message)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer


class ByHand:
    """Nobody: the script was started by hand, and what it reports is printed."""

    def __init__(self, length: int, seed: int, values: Mapping[str, Any]) -> None:
        self.given: dict[str, Any] = {
            "seed": seed,
            "length": length,
            "folder": ".",
            "values": dict(values),
            "at": 0,
            "scores_test": True,
            "metric": "score",
        }

    def moved(self, at: float) -> dict[str, float]:
        return {}

    def report(self, at: int, metrics: Mapping[str, float], save: Callable[[], None]) -> bool:
        _print(f"{at}", metrics)
        return True

    def finish(self, metrics: Mapping[str, float]) -> None:
        _print("finished", metrics)


def _print(what: str, metrics: Mapping[str, float]) -> None:
    if rank() == 0:
        print(f"hpo {what}: {', '.join(f'{name} {value:.6g}' for name, value in metrics.items())}", flush=True)
