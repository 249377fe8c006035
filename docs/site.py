"""What `make docs` builds a site of: the pages of mkdocs.yml where they lie, and the files that they link to.

mkdocs knows one folder of pages; README.md, docs/ and studies/ are several. Here every page keeps its place, so that a
link leads on the site where it leads in the repository. The build fails if a page would load anything from the network.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s#]+)(?:#[^)\s]*)?\)")
LOADED = re.compile(
    r"""<(?:script|img|iframe|link(?=[^>]*stylesheet))[^>]*(?:src|href)=["']?((?:https?:)?//[^"' >]+)"""
)


def pages(navigation: Any) -> Iterator[str]:
    """The paths in a navigation, in their order."""
    if isinstance(navigation, str):
        yield navigation
    else:
        for part in navigation.values() if isinstance(navigation, dict) else navigation:
            yield from pages(part)


def linked(page: str) -> Iterator[str]:
    """The files that a page links to or shows, other pages excepted."""
    for _, target in LINK.findall((ROOT / page).read_text()):
        path = os.path.normpath(os.path.join(os.path.dirname(page), target))
        if (ROOT / path).is_file() and not path.endswith(".md"):
            yield path


def loaded(html: str) -> list[str]:
    """The addresses from which a page would load something when it is read; links are none."""
    return LOADED.findall(html)


def anchor(heading: str, separator: str) -> str:
    """What stands behind # in a link to a heading, as GitHub writes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", separator)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Let anchors be those that links in the repository use."""
    config.mdx_configs["toc"]["slugify"] = anchor
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Replace what mkdocs has found in docs/; the theme's own files stay."""
    from mkdocs.structure.files import File

    for file in list(files):
        if file.abs_src_path and Path(file.abs_src_path).is_relative_to(ROOT / "docs"):
            files.remove(file)
    ours = list(pages(config.nav))
    beside = [*config.extra["polyfills"], *(path for page in ours for path in linked(page))]
    for path in dict.fromkeys([*ours, *beside]):
        files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Leave a folder's name without its link: a site has no page for it."""
    here = ROOT / Path(page.file.src_uri).parent
    return LINK.sub(lambda link: link[1] if (here / link[2]).is_dir() else link[0], markdown)


def on_post_build(config: MkDocsConfig) -> None:
    """Read what was built.

    Raises:
        PluginError: a page would load something from the network.
    """
    from mkdocs.exceptions import PluginError

    built = Path(config.site_dir)
    found = {(str(file.relative_to(built)), url) for file in built.rglob("*.html") for url in loaded(file.read_text())}
    if found:
        raise PluginError("loaded from the network: " + ", ".join(f"{url} by {file}" for file, url in sorted(found)))
