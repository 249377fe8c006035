"""What the page of a report weighs, and how long a browser takes to draw it: a study of 1,000 trials, results made up.

Run as `python -m benchmarks.page`; needs Chromium. The last line of the output is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.large_study import NAME, fill, make_study
from hpo import service
from hpo.report.figures import figures
from hpo.report.render.context import context
from hpo.report.render.page import page
from hpo.storage import create_storage
from tests.browser import opened_page

ROUNDS = 5
TALL = 20_000
"""Pixels of a window that shows the whole page at once."""
PARTS = {
    "library": r'<script type="text/plain" id="plotly">.*?</script>',
    "numbers": r'<script type="application/json".*?</script>',
    "drawings": r"<svg viewBox.*?</svg>",
}


def main() -> None:
    """Measure, and say so."""
    parser = argparse.ArgumentParser(description="Weighs the page of a report, and times a browser that draws it.")
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--arms", type=int, default=4)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hpo-page-") as folder:
        storage = create_storage(f"sqlite:///{folder}/hpo.db")
        fill(storage, make_study(asked.trials, asked.epochs, asked.arms))
        found = service.findings(storage, NAME)
        began = time.monotonic()
        drawn = figures(found.study, found.cells, found.curves, found.report)
        text = page(found.report, drawn, context(found.study, found.row, found.cells, found.workers))
        made = time.monotonic() - began
        path = Path(folder) / "page.html"
        path.write_text(text, encoding="utf-8")
        result = {"trials": asked.trials, "make_seconds": round(made, 1), **_weight(text), **_timed(path.as_uri())}
    for name, value in result.items():
        print(f"{name:<28} {value}", flush=True)
    print(json.dumps(result))


def _weight(text: str) -> dict[str, float]:
    """Megabytes of the page and of its parts."""
    sizes = {name: sum(map(len, re.findall(part, text, re.DOTALL))) for name, part in PARTS.items()}
    return {f"{name}_megabytes": round(size / 1e6, 2) for name, size in {"page": len(text.encode()), **sizes}.items()}


def _timed(address: str) -> dict[str, float]:
    """Milliseconds from the call of the page: until it can be read, the first figure answers, and all of them do."""
    rounds = [_round(address) for _ in range(ROUNDS)]
    return {f"{name}_milliseconds": round(median(each[name] for each in rounds)) for name in rounds[0]}


def _round(address: str) -> dict[str, float]:
    found = {}
    for name, height in (("one_screen", 900), ("all_figures", TALL)):
        with opened_page(1200, height) as opened:
            opened.goto(address)
            opened.wait_for_selector("body.asks")
            opened.wait_for_function(_nothing_left(height), timeout=120_000)
            found[name] = opened.evaluate("performance.now()")
            found["read"] = opened.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    return found


def _nothing_left(height: int) -> str:
    """Whether every panel that is in the window answers."""
    inside = f"panel.getBoundingClientRect().top < {height}"
    return f"[...document.querySelectorAll('.panel')].every(panel => panel.matches('.drawn') || !({inside}))"


if __name__ == "__main__":
    main()
