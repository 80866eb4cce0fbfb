"""What people read: no Python in it, and bars that end whole."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from clearway_cli import output


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        (True, "yes"),
        (1234567, "1,234,567"),
        (0.1 + 0.2, "0.3"),
        (("a", "b"), "a, b"),
        ((), "none"),
        (["x", 1000], "x, 1,000"),
        ({"late": 1200, "early": 3}, "late 1,200, early 3"),
        ({}, "none"),
        (datetime(2026, 1, 15, 8, tzinfo=UTC), "2026-01-15 08:00:00 UTC"),
        (Path("a/b"), "a/b"),
    ],
)
def test_values_read_as_people_write_them(value: object, text: str) -> None:
    assert output.plain_text(value) == text


def test_missing_values_have_no_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "console", Console(width=80))
    output.say_table("Written", {"table_version": 3, "metadata": None})

    told = capsys.readouterr().out
    assert "table_version" in told
    assert "metadata" not in told
    assert "None" not in told


def test_bar_of_unknown_length_never_shows_a_question_mark(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow = Console(stderr=True, force_terminal=True, width=80, color_system=None)
    monkeypatch.setattr(output, "_errors", narrow)
    with output.bar("Chain in Airflow      ") as advance:
        advance(9, None, "charge_proposal.approve: awaiting_input, and a long text after it")

    drawn = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", capsys.readouterr().err)
    last = drawn.rstrip().splitlines()[-1]
    assert "?" not in last
    assert "9/9" in last
    assert "0:00:0" in last
