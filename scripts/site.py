"""Hook of MkDocs: adds pages outside `docs` to the site, and the files that pages link to.

Links work in the checkout as written; in the site, the hook rewrites them.
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
"""The pages of the site whose files are outside `docs`."""

_LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?(?=\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Return the files of `docs`, the pages outside it, and the files of the checkout that they link to."""
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
    """Return the text of a page with links rewritten to their place in the site."""
    pages = {_origin(file.src_uri): file.src_uri for file in files.documentation_pages()}
    origin = _origin(page.file.src_uri)
    return _LINK.sub(lambda link: place(_path(link[1], origin), pages) + (link[2] or ""), markdown)


def linked(markdown: str, origin: str) -> Iterable[str]:
    """Return the paths in the checkout of the files that a page links to; ``origin`` is the path of the page."""
    return [_path(link[1], origin) for link in _LINK.finditer(markdown)]


def place(path: str, pages: Mapping[str, str]) -> str:
    """Return the place in the site of a file of the checkout; ``pages`` are its pages by their path there.

    Other files outside `docs` are added as plain text, so that a browser shows them.
    """
    return pages.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else f"repository/{path}.txt")


def _origin(uri: str) -> str:
    return ELSEWHERE.get(uri, f"docs/{uri}")


def _path(link: str, origin: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(origin), link))
