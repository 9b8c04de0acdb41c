"""What the site has beside `docs`: the pages that lie elsewhere in the checkout, and the files that any page links to.

MkDocs calls it as a hook. A link works on both sides: in the checkout as it is written, in the site as it is led on.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]

ELSEWHERE = {
    "index.md": "README.md",
    "benchmarks.md": "benchmarks/README.md",
    "chart.md": "helm/analytics-dagster/README.md",
    "contributing.md": "CONTRIBUTING.md",
    "security.md": "SECURITY.md",
    "changelog.md": "CHANGELOG.md",
}
"""The site's pages that are files elsewhere in the checkout."""

_LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?(?=\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Return the files of `docs`, the pages from elsewhere, and what they link to in the checkout."""
    for uri, path in ELSEWHERE.items():
        files.append(File.generated(config, uri, content=(ROOT / path).read_text(encoding="utf-8")))
    pages = {_origin(file.src_uri): file.src_uri for file in files.documentation_pages()}
    for file in list(files.documentation_pages()):
        for path in linked(file.content_string, _origin(file.src_uri)):
            uri = place(path, pages)
            if files.get_file_from_path(uri) is None and (ROOT / path).is_file():
                files.append(File.generated(config, uri, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - MkDocs' own
    """Return a page's text with its links led to where the site has what they name."""
    pages = {_origin(file.src_uri): file.src_uri for file in files.documentation_pages()}
    origin = _origin(page.file.src_uri)
    return _LINK.sub(lambda link: place(_path(link[1], origin), pages) + (link[2] or ""), markdown)


def linked(markdown: str, origin: str) -> Iterable[str]:
    """Return the files that a page links to, by their paths in the checkout; ``origin`` is the page's own."""
    return [_path(link[1], origin) for link in _LINK.finditer(markdown)]


def place(path: str, pages: Mapping[str, str]) -> str:
    """Return where the site has a file of the checkout; ``pages`` are its pages by their paths there.

    What is no page and not of `docs` comes as plain text, for a browser to show.
    """
    return pages.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else f"repository/{path}.txt")


def _origin(uri: str) -> str:
    return ELSEWHERE.get(uri, f"docs/{uri}")


def _path(link: str, origin: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(origin), link))
