"""The written report as a reader sees it: in a browser, on a phone and on a wide screen, on light and dark paper."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.report.figures import figures
from hpo.report.render.folder import write
from tests.browser import opened_page
from tests.unit.figure_samples import reported

BLUE = {"light": "rgb(0, 114, 178)", "dark": "rgb(86, 180, 233)"}
SEEN = """() => {
    const text = document.querySelector("#figure-learning-curves .panel > svg text");
    const colour = element => getComputedStyle(element).color;
    return {
        size: parseFloat(getComputedStyle(text).fontSize) * text.ownerSVGElement.getScreenCTM().a,
        ink: getComputedStyle(text).fill === colour(document.body),
        first: colour(document.querySelector(".legend span")),
        width: document.documentElement.scrollWidth,
    };
}"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of a small report."""
    spec, cells, points, report, where = reported()
    written: list[Path] = write(
        tmp_path_factory.mktemp("report"), spec, cells, points, report, figures(spec, cells, points, report), where
    )
    return written[0].as_uri()


@pytest.mark.parametrize("width", [400, 1200])
def test_the_page_is_readable(address: str, width: int) -> None:
    """Verdict and figures are visible and large enough, nothing hangs over the side, nothing is asked of a network."""
    with opened_page(width, 900) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address)

        assert page.locator(".claims li").is_visible()
        assert "ramp is better" in page.locator("#verdict").inner_text()
        page.wait_for_selector("body.asks", timeout=60_000)
        assert page.locator("figure").count() == 9
        panels = page.locator(".panel")
        assert panels.count() == 19
        for panel in panels.all():
            panel.scroll_into_view_if_needed()
            assert panel.is_visible()
            box = panel.bounding_box()
            assert box is not None
            lowest = 100 if panel.get_attribute("data-figure") == "standing" else 200
            assert box["width"] >= 300 and box["height"] >= lowest
            assert box["x"] >= 0 and box["x"] + box["width"] <= width
        page.emulate_media(color_scheme="light")
        light = page.evaluate(SEEN)
        page.emulate_media(color_scheme="dark")
        dark = page.evaluate(SEEN)
        for seen in (light, dark):
            assert seen["size"] >= 10
            assert seen["ink"] and seen["width"] <= width
        assert BLUE == {"light": light["first"], "dark": dark["first"]}
        assert asked == [address]


def test_the_study_file_is_printed(address: str) -> None:
    """Also what is folded on the screen, and nothing wider than the paper."""
    with opened_page(718, 1000) as page:
        page.goto(address)
        folded = page.locator("#repeat details pre")
        assert not folded.is_visible()
        page.emulate_media(media="print")
        box = folded.bounding_box()
        assert box is not None and box["height"] > 100
        assert page.evaluate("document.documentElement.scrollWidth") <= 718
