"""What a referee would ask of a study before it is run: nothing that is wrong, but what weakens its answer."""

from __future__ import annotations

from collections.abc import Iterator

from hpo.study import StudySpec

LEARNING_RATES = ("lr", "learning_rate")
"""What a learning rate is called, in any part of a path."""


def doubts(study: StudySpec) -> Iterator[str]:
    """A line for each."""
    yield from dict.fromkeys(_rates_tuned_for_one(study))


def _rates_tuned_for_one(study: StudySpec) -> Iterator[str]:
    """Arms that are compared, of which one alone has its learning rate searched."""
    for claim in study.claims:
        for pair in claim.comparison.pairs:
            rates = {arm: _searched_rates(study, arm) for arm in (pair.arm, pair.than)}
            for tuned, fixed in ((pair.arm, pair.than), (pair.than, pair.arm)):
                if rates[tuned] and not rates[fixed]:
                    yield (
                        f"the learning rate is searched in {tuned} ({', '.join(rates[tuned])}) and fixed in {fixed}: a "
                        "difference may be due to that alone"
                    )


def _searched_rates(study: StudySpec, arm: str) -> list[str]:
    meant = [study.arms[each] for each in study.meant_by(arm)]
    paths = dict.fromkeys(parameter.path for spec in meant for parameter in spec.parameters.values())
    return [path for path in paths if set(path.split(".")) & set(LEARNING_RATES)]
