"""Who may import whom is checked by `make lint`; here, that it checks, and what a gateway loads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")

HEAVY = ("polars", "pandas", "numpy", "h3", "pyarrow", "sklearn", "typer", "rich", "deltalake")


def test_a_planted_import_between_stages_is_caught(tmp_path):
    for stage in ("edge", "transforms"):
        package = tmp_path / f"planted_{stage}"
        package.mkdir()
        (package / "__init__.py").write_text("")
    (tmp_path / "planted_edge" / "agent.py").write_text("import planted_transforms\n")
    (tmp_path / ".importlinter").write_text(
        "[importlinter]\nroot_packages =\n  planted_edge\n  planted_transforms\n"
        "[importlinter:contract:1]\nname = stages\ntype = independence\n"
        "modules =\n  planted_edge\n  planted_transforms\n"
    )
    found = subprocess.run(
        [LINT_IMPORTS, "--no-cache"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert found.returncode == 1


@pytest.mark.parametrize("module", ["clearway_edge.main", "clearway_edge.jobs"])
def test_the_gateway_loads_nothing_that_a_32_bit_pi_lacks(module):
    code = f"""
import sys
for name in {HEAVY!r}:
    sys.modules[name] = None
import {module}
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
