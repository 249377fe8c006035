"""What a study is to be compared with: statements that it tests, and numbers that were published."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, PositiveFloat, model_validator

from hpo.metric import MetricName
from hpo.spec import Name, Spec


class Compared(Spec):
    """Two arms, and the moment at which they are compared."""

    arm: Name
    """The arm that is claimed to differ."""
    than: Name
    """The arm that it is compared with."""
    setting: Name | None = None
    """The setting of the study that the claim is about; all of them if not given."""
    at: float | None = Field(default=None, gt=0.0, lt=1.0)
    """The moment of the comparison, as a share of the epochs; the end if not given. Not for test, which is only scored
    at the end."""


class Pair(Compared):
    """Two arms whose difference is computed, seed by seed."""


class Contrast(Compared):
    """`arm` against `than` by `metric`, over the confirm phase's paired seeds or searches.

    With `against` two such differences are compared: whether an effect grows or shrinks from one setting to another.
    """

    metric: MetricName | None = None
    """What is compared; the protocol's metric, on test, if not given."""
    against: Pair | None = None
    """A pair whose difference, by the same metric, is taken off; zero if not given."""
    along: Name | None = None
    """What the study's settings lie along, by its name in their `at`: not the mean over them is compared then, but how
    the difference grows along it, per 1 of it."""

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The one pair, or both."""
        own = Pair(arm=self.arm, than=self.than, at=self.at)
        return (own,) if self.against is None else (own, self.against)


class Comparison(Contrast):
    """A difference that is claimed to lie beyond a margin."""

    by: float = 0.0
    """The difference has to exceed this much, in the metric's unit (accuracies are shares, 0..1)."""


class Equality(Contrast):
    """A difference that is claimed to be none that matters."""

    within: PositiveFloat
    """The difference has to lie between minus and plus this much, in the metric's unit (accuracies are shares,
    0..1)."""


class Claim(Spec):
    """A statement that the study tests: exactly one of `greater`, `less` and `equal`."""

    text: str = Field(min_length=1, max_length=1000)
    """The statement, in words."""
    greater: Comparison | None = None
    """The metric of `arm` is greater than that of `than`."""
    less: Comparison | None = None
    """The metric of `arm` is less than that of `than`."""

    equal: Equality | None = None
    """The metric of `arm` equals that of `than`, up to a difference that does not matter."""
    matters: PositiveFloat | None = None
    """The smallest difference from the margin that would matter, in the metric's unit. A claim that is not decided then
    ends in "no difference that matters" if that is certain. An `equal` claim has `within` instead."""

    @model_validator(mode="after")
    def _one_direction(self) -> Self:
        if len([side for side in (self.greater, self.less, self.equal) if side is not None]) != 1:
            raise ValueError("give exactly one of `greater`, `less` and `equal`")
        if self.equal is not None and self.matters is not None:
            raise ValueError("`matters` says of `greater` and `less` what `within` says of `equal`: leave it out")
        return self

    @property
    def side(self) -> Literal["greater", "less", "equal"]:
        """The one of the three that is given."""
        return "greater" if self.greater else "less" if self.less else "equal"

    @property
    def comparison(self) -> Contrast:
        """What is compared."""
        comparison = self.greater or self.less or self.equal
        assert comparison is not None
        return comparison

    @property
    def margin(self) -> float:
        """The difference that is the middle between one side and the other."""
        if self.greater:
            return self.greater.by
        return -self.less.by if self.less else 0.0

    def by_default(self, metric: str) -> Claim:
        """Return the claim, on `metric` if it names none."""
        if self.comparison.metric:
            return self
        return self.model_copy(update={self.side: self.comparison.model_copy(update={"metric": metric})})


class Published(Spec):
    """A number from a publication, to be shown beside the measured one."""

    arm: Name
    """The arm that repeats it."""
    params: dict[str, Any] = {}
    """Dotted path -> value, if the number is for one configuration of the arm and not for its best."""
    metric: MetricName | None = None
    """The metric that it measures, after the last epoch; the protocol's metric, on test, if not given."""
    value: float
    """The number as printed, except that accuracies are shares, 0..1."""
    runs: int = Field(default=1, ge=1, le=1000)
    """The number of runs that it is the mean of, if the publication says so."""
    where: str = Field(min_length=1, max_length=200)
    """Place in the publication, for example "table 2"."""
