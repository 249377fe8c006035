"""The dashboard in a browser: who opens an arm finds the note with the verdict, our figures, and dotted names."""

from __future__ import annotations

import re
from pathlib import Path

import plotly.graph_objects as go
import pytest

from benchmarks.large_study import NAME, fill, make_study
from hpo import service
from hpo.report.render.publish import publish
from hpo.storage import open_storage
from tests.browser import opened_page
from tests.dashboard import running_dashboard


@pytest.mark.parametrize("options", [(), ("--read-only",)])
def test_an_arm(sqlite_url: str, tmp_path: Path, options: tuple[str, ...]) -> None:
    """From the list of studies to an arm, its figures, its note, the report that it links to, and its trials."""
    storage = open_storage(sqlite_url)
    fill(storage, make_study(20, 3, 2))
    _, study = service.find_study(storage, NAME)
    page_of_report = tmp_path / "report.html"
    page_of_report.write_text("<!doctype html><title>report</title><h1>The report</h1>")
    figure = go.Figure(go.Scatter(x=[1, 2], y=[0.5, 0.9]), layout={"title": {"text": "Accuracy by arm"}})
    artifacts = tmp_path / "artifacts"
    publish(storage, study, service.verdict(storage, NAME), {"accuracy": figure}, [page_of_report], artifacts)
    storage.close()

    with running_dashboard(sqlite_url, f"--artifacts={artifacts}", *options) as dashboard, opened_page() as page:
        page.goto(f"{dashboard.url}/")
        page.get_by_text(re.compile(rf"^\d+\. {NAME}/arm2$")).click()
        plot = page.locator(".js-plotly-plot", has_text="Accuracy by arm")
        plot.locator(".scatterlayer .trace").wait_for()
        arm = page.url

        page.goto(f"{arm}/note")
        page.get_by_role("heading", name="arm2", exact=True).first.wait_for()
        page.get_by_text("difference to arm1").wait_for()
        page.get_by_text("arm2 is better than arm1").first.wait_for()

        page.goto(f"{arm}/trials")
        page.get_by_text("regularizers.l2.strength").first.wait_for()
        page.get_by_text("lr.peak").first.wait_for()

        page.goto(f"{arm}/note")
        page.get_by_role("link", name="report.html").click()
        page.get_by_role("heading", name="The report").wait_for()
