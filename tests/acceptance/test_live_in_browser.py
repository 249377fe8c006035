"""The page of a study as it runs, in a browser: it follows the study, and says when that is over or the server gone."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from hpo.storage import open_storage
from tests.browser import opened_page
from tests.dashboard import running_dashboard
from tests.integration.test_overview import confirm, searched

REFUSED = "ERR_CONNECTION_REFUSED"
expect.set_options(timeout=60_000)


def fits(page: Page) -> bool:
    """Whether nobody has to scroll sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


@pytest.mark.parametrize(("width", "scheme"), [(400, "light"), (1200, "dark")])
def test_it_follows_the_study(sqlite_url: str, tmp_path: Path, width: int, scheme: str) -> None:
    """From the confirm phase to its end, without being loaded again, and on after the server."""
    storage = open_storage(sqlite_url)
    row = searched(storage)
    with opened_page(width, expected_error=REFUSED) as page:
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        with running_dashboard(sqlite_url) as dashboard:
            page.goto(f"{dashboard.url}/live")
            page.get_by_role("link", name="digits").click()
            expect(page.get_by_role("status")).to_have_text("running")
            expect(page.get_by_text("confirming the best of each arm")).to_be_visible()
            expect(page.get_by_role("row", name="moving")).to_contain_text("90.00 %")
            expect(page.get_by_text("moving is better")).to_be_hidden()

            confirm(storage, row, 2)
            expect(page.get_by_text("moving is better")).to_be_visible()
            expect(page.get_by_text("Provisional")).to_be_visible()
            assert fits(page)

            confirm(storage, row, 3)
            expect(page.get_by_role("status")).to_have_text("finished")
            expect(page.locator("#over")).to_contain_text("hpo report digits")
            expect(page.get_by_text("moving is better")).to_be_hidden()
            page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
            expect(page.get_by_role("alert")).to_be_hidden()
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        expect(page.get_by_role("alert")).to_contain_text("The server does not answer any more")
        expect(page.get_by_role("row", name="moving")).to_contain_text("90.00 %")
        assert fits(page)
    storage.close()
