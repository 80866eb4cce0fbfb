"""Each line of the threat model has a test that exists, or a setting that is set."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
MODEL = (REPOSITORY / "SECURITY.md").read_text(encoding="utf-8")


def test_every_threat_names_its_proof_and_every_proof_exists():
    rows = [line for line in MODEL.splitlines() if line.startswith("| ")]
    threats = [row for row in rows if not row.startswith("| somebody could")]
    assert len(threats) > 30
    assert [row for row in threats if "test" not in row.rsplit("|", 2)[1]] == []

    tests = "\n".join(file.read_text() for file in (REPOSITORY / "tests").rglob("test_*.py"))
    named = set(re.findall(r"`(test_[a-z0-9_]+)`", MODEL))
    assert {name for name in named if f"def {name}(" not in tests} == set()
    folders = set(re.findall(r"`(tests/[a-z0-9_/.]+)`", MODEL))
    assert {name for name in folders if not (REPOSITORY / name).exists()} == set()
