"""The search of the documentation's site where pages are opened from a folder, and a browser starts no worker."""

from __future__ import annotations

from pathlib import Path

from tests.browser import opened_page

SHIM = Path(__file__).parents[2] / "docs" / "iframe-worker.js"

WORKER = """
const brought = importScripts("first.js", "second.js")
addEventListener("message", event => brought.then(() => postMessage(`${event.data.word} ${first} ${second}`)))
"""

PAGE = """<!doctype html><meta charset="utf-8"><script src="iframe-worker.js"></script><body><script>
heard = []
const worker = new Worker("worker.js")
worker.addEventListener("message", event => heard.push(event.data))
worker.postMessage({ word: "lease" })
worker.postMessage({ word: "again" })
</script>"""


def test_a_page_from_a_folder_talks_with_its_worker(tmp_path: Path) -> None:
    """Both ways; it brings further scripts in, one after the other, and what is sent early is not lost."""
    (tmp_path / "iframe-worker.js").write_text(SHIM.read_text())
    (tmp_path / "worker.js").write_text(WORKER)
    (tmp_path / "first.js").write_text("var first = 1")
    (tmp_path / "second.js").write_text("var second = first + 1")
    (tmp_path / "index.html").write_text(PAGE)
    with opened_page() as page:
        page.goto((tmp_path / "index.html").as_uri())
        page.wait_for_function("heard.join() === 'lease 1 2,again 1 2'")
