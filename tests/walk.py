"""What scripts of the tests train: a random walk, so that a resume that is not exact is seen."""

from __future__ import annotations


class Walk:
    """A place, and nothing else; whoever trains it moves it."""

    def __init__(self) -> None:
        self.place = 1.0

    def state_dict(self) -> dict[str, float]:
        return {"place": self.place}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.place = state["place"]
