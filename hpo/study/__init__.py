"""What a study is: the question, its arms, and how they are compared; from its file to a checked object."""

from __future__ import annotations

from hpo.study.arm import Arm, ResolvedArm
from hpo.study.claim import Claim, Comparison, Contrast, Equality, Pair, Published
from hpo.study.spec import (
    Extension,
    Source,
    StudyFile,
    StudySpec,
    keys_of_a_file,
    parse_trial,
    read_study,
    trial_at,
)

__all__ = [
    "Arm",
    "Claim",
    "Comparison",
    "Contrast",
    "Equality",
    "Extension",
    "Pair",
    "Published",
    "ResolvedArm",
    "Source",
    "StudyFile",
    "StudySpec",
    "keys_of_a_file",
    "parse_trial",
    "read_study",
    "trial_at",
]
