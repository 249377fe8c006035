"""The rules by which the arms of a study are made comparable: budgets, pruning, the confirm phase, seeds."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, field_validator, model_validator

from hpo.metric import MetricName
from hpo.search import NO_PRUNER, Pruner
from hpo.seeds import derive
from hpo.spec import Name, Spec
from hpo.trainers import Source

SEEDS = 2**31
"""Seeds are whole numbers below it, as a column of the database holds them."""
CONFIRM_SEEDS = 1000
"""Confirm seeds that are counted begin so far above those of the search, which has at most so many."""
VARIES: tuple[Source, ...] = ("init", "order")
"""What differs from seed to seed unless a study says otherwise: all that a trial draws by its own seed."""
MOST_SEARCHES = 100
"""The most searches of an arm."""


class Budget(Spec):
    """How much each search of an arm may spend: trials or epochs, and optionally hours."""

    trials: PositiveInt | None = None
    """Trials, pruned or not."""
    epochs: PositiveInt | None = None
    """Epochs trained; epochs that pruning saves go into further trials of the same arm."""
    hours: PositiveFloat | None = None
    """Hours of training, summed over the arm's trials, after which no further trial is started; those that run are
    finished."""

    @model_validator(mode="after")
    def _one_unit(self) -> Self:
        if (self.trials is None) == (self.epochs is None):
            raise ValueError("give exactly one of `trials` and `epochs`, for example { epochs = 480 }")
        return self


class Confirm(Spec):
    """The second phase: the best configurations of each arm are trained again with fresh seeds, the same for every
    arm."""

    top: int = Field(default=1, ge=1, le=100)
    """The number of configurations per arm that are confirmed: the best ones by the metric."""
    seeds: int = Field(default=5, ge=1, le=1000)
    """Fresh seeds for each of them; with `until`, the number that is added at a time."""
    vary: tuple[Source, ...] = VARIES
    """What differs from seed to seed: the initial weights (`init`), everything random during training (`order`), which
    data is held out (`split`). The rest is the same for all seeds, so that the spread shows only what varies."""
    until: Literal["decided"] | None = None
    """Add seeds to the arms of claims until the claims are decided, or the arms have `most`. The verdicts then rest on
    tests that stay valid however often one looks at the results."""
    most: int | None = Field(default=None, ge=2, le=1000)
    """The most seeds of a configuration, with `until`."""

    @field_validator("vary")
    @classmethod
    def _something_varies(cls, sources: tuple[Source, ...]) -> tuple[Source, ...]:
        if not sources or len(set(sources)) < len(sources):
            raise ValueError('name what varies, each once, such as ["init", "order", "split"]')
        return sources

    @model_validator(mode="after")
    def _a_whole_design(self) -> Self:
        if (self.until is None) != (self.most is None):
            raise ValueError(
                'give `until` and `most` together, for example { seeds = 5, most = 40, until = "decided" }'
            )
        if self.most is not None and self.most < self.seeds:
            raise ValueError(f"most ({self.most}) must be at least seeds ({self.seeds})")
        if self.until is not None and self.top > 1:
            raise ValueError("with `until` one configuration of each arm is confirmed: leave `top` out")
        return self

    @property
    def largest(self) -> int:
        """The most seeds that a configuration can get."""
        return self.most or self.seeds


class Protocol(Spec):
    """How the arms are made comparable."""

    budget: Budget | None = None
    """What each arm may spend in each of its searches. If not given, sampled arms may spend as many epochs as the
    largest grid."""
    pruner: Pruner = NO_PRUNER
    """The pruner that stops bad trials of the sampled arms; a grid is run in full unless its arm has its own pruner."""
    confirm: Confirm | None = None
    """The second phase. If not given, the study ends with the search, and nothing is scored on test."""
    searches: int = Field(default=1, ge=1, le=MOST_SEARCHES)
    """The number of complete searches of every arm, each with its own proposals, seeds, budget and confirm phase. With
    several, claims are about the arms as ways of searching, paired search by search; with one, they are about the
    configurations that this one search happened to choose."""
    vary_split: bool = False
    """Give every search its own validation split, the same for all arms: the spread between searches then includes the
    choice of the held-out data."""
    seed: NonNegativeInt = 0
    """Fixes initializations, batch orders and proposals."""
    seeding: Literal["derived", "counted"] = "derived"
    """How the seeds of trials follow from `seed`: "derived", so that studies with different seeds share none; or
    "counted" up from it, as in early versions, which only works with one search."""
    repeats: int = Field(default=1, ge=1, le=1000)
    """Seeds per grid point in the search phase."""
    metric: MetricName | None = None
    """What trials are judged by, on validation: it decides which configurations are chosen and which trials are pruned,
    and samplers learn from it. The validation accuracy if not given; the alternative is `validation_loss`."""
    select: Literal["last", "best"] = "last"
    """The epoch whose metric is a trial's score in the search. Test, curves and claims always use the last epoch."""
    audit: int = Field(default=0, ge=0, le=1000)
    """The number of pruned trials of each search that are run to their end after it, to measure how often pruning was
    wrong."""
    share_prefixes: bool = False
    """Train only once what trials with the same seed have in common at their beginning, such as the first stages of a
    schedule. This needs trials that are known beforehand: grids without pruning, and the confirm phase. Every trial
    still counts with all its epochs."""
    keep_weights: bool = False
    """Keep the weights of every confirm trial after its last epoch, for `hpo fetch`; they are kept with the
    checkpoints."""
    attempts: PositiveInt = 5
    """How often a trial is tried without an epoch of progress before it is set aside as failed."""
    baseline: Name | None = None
    """The arm that the others are compared with; the first one if not given."""

    @model_validator(mode="after")
    def _searches_fit(self) -> Self:
        if self.seeding == "counted" and self.searches > 1:
            raise ValueError("several searches need seeds that are derived: leave `seeding` out")
        if self.vary_split and self.searches == 1:
            raise ValueError("`vary_split` gives each search a split of its own: give several `searches`")
        if self.is_sequential and self.searches > 1:
            raise ValueError("`confirm.until` adds seeds to one search of each arm; with several searches leave it out")
        return self

    @property
    def is_sequential(self) -> bool:
        """Whether seeds are added until the claims are decided."""
        return self.confirm is not None and self.confirm.until is not None

    @property
    def all_searches(self) -> range:
        """The searches of an arm by their number, from 1."""
        return range(1, self.searches + 1)

    def drawn_by(self, search: int, confirm_seed: int | None) -> Mapping[Source, int]:
        """The sources of randomness that are not left to a trial's own seed and to its data's, and what draws them: in
        one of the searches, or in the confirm phase after it, under one of its seeds."""
        found: dict[Source, int] = {"split": self.seed_of("split", search, 0)} if self.vary_split else {}
        if self.confirm is not None and confirm_seed is not None:
            vary = self.confirm.vary
            found |= {source: self.seed_of(source, search, 0) for source in VARIES if source not in vary}
            found |= {"split": confirm_seed} if "split" in vary else {}
        return found

    def seed_of(self, phase: str, search: int, index: int) -> int:
        """The seed of a phase's trials under its `index`-th seed, from 0: all arms have the same ones, so they are
        compared seed by seed."""
        if self.seeding == "counted":
            return self.seed + (CONFIRM_SEEDS if phase == "confirm" else 0) + index
        drawn = 1 << index.bit_length()  # the powers of 2, so that few lists are drawn
        return _distinct(self.seed, phase, search, drawn)[index]


@lru_cache(maxsize=1024)
def _distinct(seed: int, phase: str, search: int, count: int) -> list[int]:
    """The first `count` seeds of a phase; one that has been drawn before is left out, as one in two billion is."""
    found: dict[int, None] = {}
    index = 0
    while len(found) < count:
        found[derive(seed, phase, search, index) % SEEDS] = None
        index += 1
    return list(found)
