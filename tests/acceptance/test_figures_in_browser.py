"""The page of a report in a browser: figures answer whoever points at them, and stay as they are where nothing runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, expect

from hpo.report.figures import figures
from hpo.report.render.page import page as page_of
from tests.browser import opened_page
from tests.unit.figure_samples import reported

LIGHT, DARK = "rgb(213, 94, 0)", "rgb(245, 139, 76)"
"""The colour of the second arm."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    spec, cells, points, report, where = reported()
    path = tmp_path_factory.mktemp("page") / "moving.html"
    path.write_text(page_of(report, figures(spec, cells, points, report), where))
    return path.as_uri()


@contextmanager
def shown(address: str) -> Iterator[Page]:
    """The page, of which all figures have been scrolled to; a script that the policy forbids would be an error."""
    with opened_page(1200, 20_000) as page:
        page.goto(address)
        expect(page.locator(".panel.drawn")).to_have_count(page.locator(".panel").count(), timeout=60_000)
        yield page


def test_a_point_says_which_trial_it_is(address: str) -> None:
    """By the keyboard as by a pointer: its number, its values, and the arm."""
    with shown(address) as page:
        every_trial = page.locator("#figure-accuracy-by-epochs-spent .plot").nth(3)
        every_trial.focus()
        page.keyboard.press("ArrowRight")
        label = every_trial.locator(".hoverlayer")
        expect(label).to_contain_text("trial ")
        expect(label).to_contain_text("l2.strength = ")
        expect(label).to_contain_text("validation accuracy 70.00 %")


def test_an_arm_can_be_hidden(address: str) -> None:
    """In all figures, by its name, and shown again."""
    with shown(address) as page:
        lines = page.locator("#figure-learning-curves .plot").first.locator(".scatterlayer .trace")
        before = lines.count()
        button = page.locator("#figure-standing .legend button", has_text="grid")
        button.click()
        expect(button).to_have_attribute("aria-pressed", "false")
        expect(page.locator("#figure-learning-curves .legend button", has_text="grid")).to_have_attribute(
            "aria-pressed", "false"
        )
        expect(lines).to_have_count(before // 2)
        button.click()
        expect(lines).to_have_count(before)


def test_the_keyboard_zooms(address: str) -> None:
    """Nearer with +, and back to all with 0."""
    with shown(address) as page:
        plot = page.locator("#figure-learning-curves .plot").first
        ticks = plot.locator(".xtick")
        everything = ticks.all_text_contents()
        plot.focus()
        page.keyboard.press("+")
        page.keyboard.press("+")
        expect(ticks).not_to_have_text(everything)
        page.keyboard.press("0")
        expect(ticks).to_have_text(everything)


def test_on_paper_and_without_scripts_the_drawings_stay(address: str) -> None:
    """Each of them is there and seen."""
    with shown(address) as page:
        page.emulate_media(media="print")
        assert page.locator(".panel > svg").count() == page.locator(".panel > svg:visible").count() > 5
        assert 0 == page.locator(".plot:visible").count()


def test_a_figure_takes_the_colours_of_the_page(address: str) -> None:
    """Those for dark paper where the page is dark, also when that changes while it is open."""
    with shown(address) as page:
        last = page.locator("#figure-what-moved .plot").first.locator(".js-line").last
        expect(last).to_have_css("stroke", LIGHT)
        page.emulate_media(color_scheme="dark")
        expect(last).to_have_css("stroke", DARK)
