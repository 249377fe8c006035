"""A headless Chromium for tests: skipped where there is none, required under CI=true."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import ConsoleMessage, Page, Response, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def opened_page(width: int = 1400, height: int = 1000, expected_error: str | None = None) -> Iterator[Page]:
    """A page of a browser without history; the test fails if it logs an error or gets an answer that is one, but for
    errors that have `expected_error` in them."""
    if not CHROMIUM.exists():
        missing = f"no browser at {CHROMIUM}: apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    errors: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        if message.type == "error":
            errors.append(message.text)

    def on_response(response: Response) -> None:
        if response.status >= 400:
            errors.append(f"{response.status} {response.url}")

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, chromium_sandbox=False, args=FLAGS)
        page = browser.new_page(viewport={"width": width, "height": height})
        page.on("console", on_console)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("response", on_response)
        yield page
        browser.close()
    errors = [error for error in errors if expected_error is None or expected_error not in error]
    assert [] == errors, errors
