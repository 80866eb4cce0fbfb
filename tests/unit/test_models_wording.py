"""Numbers in words."""

from __future__ import annotations

import pytest

from clearway_models.charge.wording import days_text, plural


@pytest.mark.parametrize(
    ("days", "text"),
    [
        (0, "0 days"), (0.01, "less than an hour"), (0.125, "3 hours"), (1 / 24, "1 hour"),
        (0.999, "1 day"), (1, "1 day"), (1.04, "1 day"), (1.5, "1.5 days"), (14.0, "14 days"),
    ],
)  # fmt: skip
def test_days_are_said_as_a_person_would(days: float, text: str) -> None:
    assert days_text(days) == text


def test_one_has_no_s() -> None:
    assert plural(1, "parameter") == "1 parameter"
    assert plural(0, "parameter") == "0 parameters"
