"""The README's list of what always holds names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "ingest" / "README.md").read_text(encoding="utf-8")


def test_every_invariant_names_the_test_that_holds_it():
    rows = re.findall(r"^\| (\d+) \|.*\| (.*) \|$", README, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, len(rows) + 1))
    assert len(rows) > 10
    for number, held_by in rows:
        named = re.findall(r"`(?:[a-z]+/)?(test_\w+\.py)`", held_by)
        assert named, number
        missing = [file for file in named if not any((REPOSITORY / "tests").glob(f"*/{file}"))]
        assert missing == [], number
