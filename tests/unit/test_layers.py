"""Imports between the top-level packages form no cycle."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "analytics_dagster"


def _layer(module: str) -> str:
    """Return the top-level package of a module, or the module itself at the top level."""
    return module.split(".")[1]


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == PACKAGE.name:
            yield from (f"{PACKAGE.name}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{PACKAGE.name}."):
            yield str(node.module)


def _imports_by_layer() -> Mapping[str, set[str]]:
    imported: dict[str, set[str]] = {}
    # The package's own `__init__` imports the public API lazily.
    for path in set(PACKAGE.rglob("*.py")) - {PACKAGE / "__init__.py"}:
        layer = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        imported.setdefault(layer, set()).update(map(_layer, _imports(path)))
    return {layer: below - {layer} for layer, below in imported.items()}


def test_imports_between_packages_form_no_cycle() -> None:
    # Raises an error that names the cycle, if there is one.
    order = list(TopologicalSorter(_imports_by_layer()).static_order())
    assert order.index("settings") < order.index("location") < order.index("cli")


def test_ingestion_and_shop_do_not_import_each_other() -> None:
    imported = _imports_by_layer()
    assert "shop" not in imported["ingestion"]
    assert "ingestion" not in imported["shop"]
