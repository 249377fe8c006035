"""Every study file, as it is and with each of its profiles: valid, documented, and able to come to a verdict."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from hpo.report.render.plan_summary import plan_summary
from hpo.report.verdict.compare import compare
from hpo.search.space import merge
from hpo.service import begin_study
from hpo.storage import create_storage
from hpo.study import StudySpec
from hpo.study.file import load, parse
from tests.integration.helpers import work_here

STUDIES = Path(__file__).parents[2] / "studies"
FILES = sorted(STUDIES.glob("**/*.toml"))
ON_IMAGES = [file for file in FILES if "program" not in tomllib.loads(file.read_text())["trial"]]
FOLDERS = sorted({file.parent for file in STUDIES.glob("*/*.toml")})
MOST_ARMS = 6
TINY = {"epochs": 2, "batch_size": 16, "data": {"kind": "npz", "file": "digits.npz", "validation": 20}}
LINK = re.compile(r"\[[^\]]*\]\(([^)\s#]+)[^)]*\)")


def name(path: Path) -> str:
    return str(path.relative_to(STUDIES))


def profiles(file: Path) -> list[str | None]:
    """None, which is the file as written, and the names of its profiles."""
    return [None, *tomllib.loads(file.read_text()).get("profiles", {})]


WITH_PROFILES = [(file, profile) for file in FILES for profile in profiles(file)]


@pytest.mark.parametrize(("file", "profile"), WITH_PROFILES, ids=[f"{name(file)} {p}" for file, p in WITH_PROFILES])
def test_every_study_is_valid_with_every_profile(file: Path, profile: str | None) -> None:
    """Its outline can be made too, so its budgets fit its arms."""
    study = load(file, profile=profile)
    Console(quiet=True).print(plan_summary(study))
    assert study.title
    assert study.protocol.confirm is not None, "nothing would be scored on test"


@pytest.mark.parametrize("file", FILES, ids=name)
def test_every_study_has_a_small_and_a_paper_profile_but_the_first(file: Path) -> None:
    """The quickstart is small as it is; what no data set's own files are needed for has no `paper`."""
    needed = {"small", "paper"} if file in ON_IMAGES else {"small"}
    assert file.stem == "quickstart" or needed <= set(profiles(file))


@pytest.mark.parametrize("folder", FOLDERS, ids=name)
def test_every_folder_says_what_it_repeats(folder: Path) -> None:
    """Its page names the document that its studies name, and each of their files."""
    page = (folder / "README.md").read_text()
    for file in folder.glob("*.toml"):
        source = load(file).source
        assert source is not None
        (document,) = re.findall(r"\((\d{3}_[0-9a-f]{16})\)", source.document)
        assert f"`{document}.txt`" in page
        assert f"({file.name})" in page


def test_the_table_of_studies_is_complete() -> None:
    """studies/README.md leads to every study file."""
    linked = LINK.findall((STUDIES / "README.md").read_text())
    assert sorted(name(file) for file in FILES) == sorted(link for link in linked if link.endswith(".toml"))


@pytest.mark.parametrize("page", sorted(STUDIES.glob("**/*.md")), ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    """Relative ones."""
    for target in LINK.findall(page.read_text()):
        assert re.match(r"[a-z]+:", target) or (page.parent / target).exists(), target


def test_tables_are_what_their_data_says() -> None:
    """Those that stand beside raw data: written by a script, and not by hand."""
    done = subprocess.run(
        [sys.executable, STUDIES / "tables.py", "--check"], capture_output=True, text=True, check=False
    )
    assert (0, "") == (done.returncode, done.stdout), done.stdout + done.stderr


def shrunk(study: StudySpec) -> StudySpec:
    """The same question, an image of it: a few enlarged digits, nets of a few units, two epochs, two seeds.

    The rule is the same for all: of the arms stay the baseline and those of the first claims, six at most; a grid keeps
    two values of what it searches first and one of the rest; a sampler has two trials.
    """
    table: dict[str, Any] = study.model_dump(exclude_unset=True, mode="json")
    kept = [study.baseline]
    few = [*study.settings][:1] + [*study.settings][-1:]
    kept += [arm for arm, spec in study.arms.items() if spec.setting in few]
    table["settings"] = {name: setting for name, setting in table.get("settings", {}).items() if name in few}
    for claim in study.claims:
        arms = [arm for pair in claim.comparison.pairs for arm in (pair.arm, pair.than)]
        if len({*kept, *arms}) <= MOST_ARMS and not few:
            kept += arms
    steers = "steer" in table["trial"]["data"]
    table["trial"] = _smaller(merge(table["trial"], TINY))
    table["trial"]["data"] |= {"steer": 0.1} if steers else {}
    table["arms"] = {arm: _shrunk_arm(spec) for arm, spec in table["arms"].items() if arm in kept}
    table["protocol"] = {
        "pruner": table["protocol"].get("pruner", {"kind": "none"}),
        "baseline": study.protocol.baseline,
    }
    table["protocol"]["confirm"] = {"top": 1, "seeds": 2}
    named = {*kept, *(spec.way for spec in study.arms.values())}
    table["claims"] = [claim for claim in table.get("claims", []) if _arms_of(claim) <= named]
    table["published"] = [row for row in table.get("published", []) if row["arm"] in kept]
    return parse(table)


def _shrunk_arm(arm: dict[str, Any]) -> dict[str, Any]:
    trial = {key: value for key, value in arm.get("trial", {}).items() if key != "epochs"}
    search = dict(arm.get("search", {}))
    if arm.get("sampler", {"kind": "grid"})["kind"] == "grid":
        for rank, (path, searched) in enumerate(search.items()):
            values, few = searched["values"], 2 if rank == 0 else 1
            search[path] = {"values": dict(list(values.items())[:few]) if isinstance(values, dict) else values[:few]}
    return arm | {"trial": _smaller(trial), "search": search, "budget": {"trials": 2}}


def _smaller(trial: dict[str, Any]) -> dict[str, Any]:
    """With a net of a few units, as deep as it is."""
    model = dict(trial.get("model", {}))
    units = {key: model[key] for key in ("hidden", "channels") if key in model}
    model |= {key: [4] * len(value) if isinstance(value, list) else 4 for key, value in units.items()}
    model |= {"width": 0.1} if "width" in model else {}
    return trial | ({"model": model} if model else {})


def _arms_of(claim: dict[str, Any]) -> set[str]:
    comparison = claim.get("greater") or claim.get("less") or claim["equal"]
    pairs = [comparison, comparison.get("against") or comparison]
    return {pair[role] for pair in pairs for role in ("arm", "than")}


@pytest.fixture
def digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """48 digits to learn from and 16 for the end, enlarged to 32 x 32 pixels in three channels."""
    from sklearn.datasets import load_digits

    data = load_digits()
    chosen = np.concatenate([np.flatnonzero(data.target == label)[:8] for label in range(10)])
    images = (data.images[chosen] * 15.9).astype(np.uint8).repeat(4, axis=1).repeat(4, axis=2)
    images, labels = np.stack([images] * 3, axis=1), data.target[chosen].astype(np.int64)
    end = np.arange(len(chosen)) % 8 == 7
    names = {
        "train_inputs": images[~end],
        "train_labels": labels[~end],
        "test_inputs": images[end],
        "test_labels": labels[end],
    }
    np.savez(tmp_path / "digits.npz", **names)
    monkeypatch.setenv("HPO_DATA_DIR", str(tmp_path))


def test_every_small_study_comes_to_a_verdict(tmp_path: Path, digits: None) -> None:
    """All in one storage, by one worker: every cell is done, every claim and every printed number is looked at."""
    storage = create_storage(f"sqlite:///{tmp_path}/hpo.db")
    studies = [shrunk(load(file, profile="small" if "small" in profiles(file) else None)) for file in ON_IMAGES]
    rows = [begin_study(storage, study) for study in studies]
    work_here(storage)
    for row, study in zip(rows, studies, strict=True):
        cells = storage.ledger.cells(row.id)
        assert {"done"} == {cell.state for cell in cells}, study.name
        report = compare(study, cells, storage.ledger.curves(row.id))
        assert (len(study.claims), len(study.published), ()) == (
            len(report.claims),
            len(report.published),
            report.unfinished,
        )
        assert all(claim.difference is not None and claim.difference.n == 2 for claim in report.claims), study.name
        assert all(row.measured is not None or not row.missing for row in report.published), study.name
    storage.close()
