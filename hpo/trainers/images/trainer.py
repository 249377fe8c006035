"""The trainer of nets on images, as the rest of the project sees it.

What training needs is imported when something is trained: a study can be checked and reported without torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError
from rich.console import RenderableType

from hpo.errors import MachineError
from hpo.metric import Metric
from hpo.process import pulse
from hpo.trainers.images.reported import OBJECTIVE, metrics
from hpo.trainers.moving.policies import looks_at_validation
from hpo.trainers.trainer import Identity, Machine, Result, Source, Trial

if TYPE_CHECKING:
    from hpo.trainers.images.data import Source as ImageSource
    from hpo.trainers.images.evaluation import Evaluation
    from hpo.trainers.images.loop import Decision
    from hpo.trainers.images.trial import TrialSpec

MOST_STEPS = 2**31 - 1
"""The most steps of a trial; they are stored in a column of 32 bits."""


class ImageTrainer:
    """Nets that classify images: data, models, optimizers, schedules, regularizers and policies by their names."""

    fixed = {
        "data": "make a separate study for each value",
        "epochs": "make a separate arm for each value",
        "batch_size": "make a separate arm for each value, or search the strength of a 'batch_size' regularizer",
        "score_every": "give one value for all arms",
        "sparsity_below": "give one value for all arms",
    }
    shared = ("data", "score_every", "sparsity_below")
    train_values = "Train values are running means over an epoch, regularization as it was."

    def spec(self) -> type[TrialSpec]:
        from hpo.trainers.images.trial import TrialSpec

        return TrialSpec

    def unit(self, trial: Mapping[str, Any]) -> str:
        return "epoch"

    def metrics(self, trial: Mapping[str, Any]) -> Mapping[str, Metric]:
        return metrics(_chance(trial.get("data")), sparsity=trial.get("sparsity_below") is not None)

    def objective(self, trial: Mapping[str, Any]) -> str:
        return OBJECTIVE.name

    def length(self, trial: Mapping[str, Any]) -> int:
        return int(trial["epochs"])

    def shortened(self, trial: Mapping[str, Any], units: int) -> Mapping[str, Any]:
        return {"epochs": min(units, int(trial["epochs"]))}

    def keeps_weights(self, trial: Mapping[str, Any]) -> bool:
        return True

    def stops_early(self, trial: Mapping[str, Any]) -> bool:
        return bool(trial.get("early_stopping"))

    def scores_test_along(self, trial: Mapping[str, Any]) -> bool:
        return bool(trial.get("test_curve"))

    def scored_every(self, trial: Mapping[str, Any]) -> int:
        every = trial.get("score_every")
        return every if isinstance(every, int) else 1  # what it may be is told elsewhere

    def drawn_by(self, source: Source, seed: int) -> Mapping[str, Any] | None:
        return {"data": {"split_seed": seed}} if source == "split" else {f"{source}_seed": seed}

    def steers_by_validation(self, trial: Mapping[str, Any]) -> bool:
        config = self.spec().model_validate(trial)
        stopping = config.early_stopping
        if stopping is not None and stopping.score == "best":
            return True  # the best of all epochs, by validation
        steered = any(looks_at_validation(spec.policy) for spec in config.regularizers.values())
        return steered and config.data.steer is None

    def amounts(self, trial: Mapping[str, Any], length: int) -> Mapping[str, int]:
        return self._amounts(self.spec().model_validate(trial), length)

    def _amounts(self, config: TrialSpec, length: int) -> Mapping[str, int]:
        images = config.data.images_per_epoch
        if images is None:
            return {}
        steps = images // min(images, config.batch_size)
        return {"images": length * images, "steps": length * steps}

    def summary(self, trial: Mapping[str, Any]) -> str:
        return f"data: {trial['data']['kind']}; to see its images: hpo check --data"

    def look_at_data(self, configs: Mapping[str, TrialSpec]) -> RenderableType:
        from hpo.trainers.images.overview import overview

        return overview(configs)

    def missing(self, trials: Sequence[Mapping[str, Any]]) -> Iterator[str]:
        yield from ()

    def limits(self, trial: Mapping[str, Any]) -> Iterator[str]:
        config = self.spec().model_validate(trial)
        steps = self._amounts(config, config.epochs).get("steps", 0)
        if steps > MOST_STEPS:
            yield f"epochs: {steps:,} optimizer steps, at most {MOST_STEPS:,} are allowed; raise batch_size"

    def allows(self, trials: Sequence[Mapping[str, Any]]) -> Mapping[str, str]:
        return {}  # code of the user's own is for each worker's operator to allow

    def load(self) -> None:
        import hpo.trainers.images.loop  # noqa: F401 (torch)

    def machine(self, device: str) -> Machine:
        from hpo.trainers.images.device import TorchMachine

        return TorchMachine(device)

    def identity(self, config: TrialSpec, trials: Sequence[Mapping[str, Any]], study: str) -> Identity:
        from hpo.trainers.images.data import cache

        return Identity(
            cache.load(config.data, study).fingerprint,
            what=f"the {config.data.kind} images on this machine",
            hint="copy the data from a machine that works on the study, or start a new study; "
            "if this machine has the right ones: hpo accept-images STUDY",
        )

    def code(self, trials: Sequence[Mapping[str, Any]]) -> str | None:
        return None

    def prefixes(self, config: TrialSpec, study: str, device: str) -> Sequence[str]:
        import torch

        from hpo.trainers.images.data import cache
        from hpo.trainers.images.prefix import prefixes

        splits = cache.splits(config.data, False, torch.device(device), study)
        return prefixes(config, len(splits.train))

    def packed(self, weights: bytes, trial: Mapping[str, Any], about: Mapping[str, Any]) -> bytes:
        from hpo.trainers.images.nets import packed

        return packed(weights, trial, about)

    def run(self, trial: Trial) -> Result:
        import torch

        from hpo.trainers.images.data import cache
        from hpo.trainers.images.device import HOW_ALL_THE_SAME, lacks
        from hpo.trainers.images.loop import Ended, fit

        config: TrialSpec = trial.config
        device = torch.device(trial.device)
        if missing := lacks(config.precision, device):
            raise MachineError(missing, hint=HOW_ALL_THE_SAME)
        with pulse.interruptible(trial.should_stop):
            splits = cache.splits(config.data, trial.scores_test, device, trial.study)
        outcome = fit(
            config,
            trial.seed,
            splits,
            _reporting(trial),
            resume=trial.checkpoint,
            interrupted=trial.should_stop,
            looks_at=trial.looks_at,
            keep_weights=trial.keeps_weights,
        )
        finished = outcome.ended is Ended.FINISHED
        return Result(
            finished=finished,
            test={} if outcome.test is None else outcome.test.by_name("test"),
            checkpoint=outcome.checkpoint,
            weights=outcome.weights,
            validation=outcome.validation.by_name("validation") if finished and outcome.validation else {},
        )


def _reporting(trial: Trial) -> Callable[[Evaluation, Callable[[], bytes]], Decision]:
    from hpo.trainers.images.loop import Decision

    def report(evaluation: Evaluation, checkpoint: Callable[[], bytes]) -> Decision:
        goes_on = trial.report(evaluation.reported(), checkpoint)
        return Decision.CONTINUE if goes_on else Decision.PRUNE

    return report


@cache
def _sources() -> TypeAdapter[ImageSource]:
    from hpo.trainers.images.data import Data

    return TypeAdapter(Data)


def _chance(data: Any) -> float:
    """The accuracy of guessing on these images; 0 where it isn't known."""
    try:
        source = _sources().validate_python(data)
    except ValidationError:  # told elsewhere
        return 0.0
    return source.chance or 0.0


TRAINER = ImageTrainer()
