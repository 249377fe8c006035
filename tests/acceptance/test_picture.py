"""The picture in README.md: it is one, it is small, and it can be taken again."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from PIL import Image

from tests.browser import opened_page
from tests.unit.test_docs import LINK

ROOT = Path(__file__).parents[2]


def test_the_readme_shows_it_before_anything_has_to_be_done() -> None:
    """Above the first heading, and small enough to be fetched at once."""
    above = (ROOT / "README.md").read_text().partition("\n## ")[0]
    [shown] = [target for target in LINK.findall(above) if target.endswith(".png")]
    assert (ROOT / shown).stat().st_size < 200_000
    with Image.open(ROOT / shown) as picture:
        assert "PNG" == picture.format


def test_it_can_be_taken_again(tmp_path: Path) -> None:
    """The upper part of a page, with its colours."""
    spec = importlib.util.spec_from_file_location("picture", ROOT / "docs" / "picture.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with opened_page():  # skipped where there is no browser
        pass
    page = tmp_path / "page.html"
    page.write_text("<body style='margin: 0; background: #0072b2'><div style='height: 9000px'>")
    module.take(page, tmp_path / "images" / "page.png")
    with Image.open(tmp_path / "images" / "page.png") as picture:
        assert (module.WIDTH, module.HEIGHT) == picture.size
        assert (0x00, 0x72, 0xB2) == picture.convert("RGB").getpixel((10, 10))
