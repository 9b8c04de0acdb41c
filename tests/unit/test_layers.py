"""The house is built upwards: what the modules import of each other never comes back to where it began."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "analytics_dagster"


def _storey(module: str) -> str:
    """Return the folder of the package that a module lies in, or the module itself where it lies in none."""
    return module.split(".")[1]


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == PACKAGE.name:
            yield from (f"{PACKAGE.name}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{PACKAGE.name}."):
            yield str(node.module)


def _imported_by_storey() -> Mapping[str, set[str]]:
    imported: dict[str, set[str]] = {}
    # What the package itself offers, it imports when it is asked for, from the highest storey.
    for path in set(PACKAGE.rglob("*.py")) - {PACKAGE / "__init__.py"}:
        storey = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        imported.setdefault(storey, set()).update(map(_storey, _imports(path)))
    return {storey: below - {storey} for storey, below in imported.items()}


def test_no_import_points_back_up() -> None:
    # Names the circle, if there is one.
    order = list(TopologicalSorter(_imported_by_storey()).static_order())
    assert order.index("settings") < order.index("location") < order.index("cli")


def test_ingestion_and_shop_do_not_know_each_other() -> None:
    imported = _imported_by_storey()
    assert "shop" not in imported["ingestion"]
    assert "ingestion" not in imported["shop"]
