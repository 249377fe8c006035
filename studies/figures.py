"""The figures of the results, drawn from the raw data: those files of `results/` that a page shows.

    python studies/figures.py           # draw them all
    python studies/figures.py NAME …    # those of some studies, by the names that they have in their reports

A page asks for one by its link, `results/STUDY-FIGURE.svg`, with the name of the figure in a report's folder `figures`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from judged import STUDIES, judge, profiles, trials

from hpo.report.figures.figures import figures
from hpo.report.render.svg import svg
from hpo.study.file import load

FOLDER = STUDIES / "results"
PAGES = (*STUDIES.glob("**/*.md"), *(STUDIES.parent / "docs").glob("*.md"), STUDIES.parent / "README.md")
LINK = re.compile(r"results/([\w.-]+\.svg)\)")


def wanted(pages: Iterable[Path] = PAGES) -> set[str]:
    """The file names of all figures that the pages show."""
    return {name for page in pages for name in LINK.findall(page.read_text(encoding="utf-8"))}


def draw(names: set[str], only: set[str]) -> list[str]:
    """Write the figures into their files; returns those names that no study and none of its figures has."""
    left = set(names)
    for file in STUDIES.glob("**/*.toml"):
        for profile in profiles(file):
            study = load(file, profile=profile)
            own = {name: name.removeprefix(f"{study.name}-").removesuffix(".svg") for name in left}
            own = {name: figure for name, figure in own.items() if name != f"{figure}.svg"}
            if not own or not trials(file, study).exists() or (only and study.name not in only):
                continue
            found = judge(file, profile)
            made = {each.id: each for each in figures(study, found.cells, found.curves, found.report)}
            for name, figure in own.items():
                if figure in made:
                    (FOLDER / name).write_bytes(svg(made[figure]))
                    left.discard(name)
    return sorted(left)


def main() -> int:
    """Draw what the pages show, and say what there are no data for and what no page shows."""
    only = set(sys.argv[1:])
    names = wanted()
    left = draw(names, only)
    unused = sorted({file.name for file in FOLDER.glob("*.svg")} - names)
    for name in unused:
        print(f"{name}: no page shows it")
    if only:
        return 0
    for name in left:
        print(f"{name}: no study, or none of its figures, is called so; or its raw data are missing")
    return int(bool(left or unused))


if __name__ == "__main__":
    sys.exit(main())
