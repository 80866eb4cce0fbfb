"""The page on the architecture leads to code that is there, and its picture is the code's."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

from clearway_core.contracts.lake import LAKE_CONTRACTS

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
IMAGES = REPOSITORY / "docs" / "images"


def _drawing() -> object:
    path = REPOSITORY / "docs" / "generate" / "architecture.py"
    spec = importlib.util.spec_from_file_location("architecture_drawing", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _defines(tree: ast.AST, names: list[str]) -> bool:
    for node in ast.iter_child_nodes(tree):
        if getattr(node, "name", None) == names[0]:
            return len(names) == 1 or _defines(node, names[1:])
    return False


def test_every_step_of_the_walk_is_where_the_page_says():
    steps = re.findall(r"`([a-z_/0-9]+\.py):([A-Za-z_.]+)`", PAGE)
    assert len(steps) > 25
    lost = [
        f"{file}:{name}"
        for file, name in steps
        if not (REPOSITORY / file).exists()
        or not _defines(ast.parse((REPOSITORY / file).read_text()), name.split("."))
    ]
    assert lost == []


def test_the_picture_of_imports_is_the_codes():
    drawing = _drawing()
    drawn = (IMAGES / "architecture-imports.dot").read_text(encoding="utf-8")
    arrows = {pair for pair, _ in drawing.imports_between_components().items()}
    assert set(re.findall(r'"(\w+)" -> "(\w+)"', drawn)) == arrows


def test_the_picture_of_the_data_names_components_and_tables_that_exist():
    drawing = _drawing()
    drawn = (IMAGES / "architecture-data.dot").read_text(encoding="utf-8")
    arrows = re.findall(r'"([\w.]+)" -> "([\w.]+)"', drawn)
    assert len(arrows) > 40
    known = {*drawing.STAGES, *LAKE_CONTRACTS}
    names = {name for arrow in arrows for name in arrow if not name.startswith("clearway.")}
    assert names - known == set()
