"""A net of your own: a function of a Python module that the worker can import and may (see `hpo.trainers.target`)."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator, JsonValue

from hpo.errors import StudyFileError
from hpo.spec import Spec
from hpo.trainers.target import Arguments, Target, import_target

if TYPE_CHECKING:
    from torch import nn


def _not_the_loops(args: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if taken := sorted({"shape", "classes"} & set(args)):
        raise ValueError(f"{' and '.join(taken)} can't be given here: the images determine it")
    return args


class Custom(Spec):
    """Your own network, on workers whose `HPO_CUSTOM_TARGETS` names its module or a package that contains it."""

    kind: Literal["custom"] = "custom"

    recordable: ClassVar[bool] = False
    """What the net's own code decides on the host at each step would be lost where a step is recorded."""

    target: Target
    """`MODULE:FUNCTION`, called as `FUNCTION(shape=(C, H, W), classes=K, **args)`; it returns a `torch.nn.Module`."""

    args: Annotated[Arguments, AfterValidator(_not_the_loops)] = {}
    """Further arguments of the function."""

    def build(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        """What the target returns for images of `shape` (C, H, W); it may draw from torch's global generator alone.

        Raises:
            TargetError: this worker may not import the target, or it is not there.
            StudyFileError: it returns no module.
        """
        from torch import nn

        net = import_target(self.target, "model")(shape=shape, classes=classes, **deepcopy(self.args))
        if not isinstance(net, nn.Module):
            raise StudyFileError(f"the model's target {self.target} must return a torch.nn.Module, not {net!r:.100}")
        return net
