"""Fixtures that every kind of test shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real data sets, or skip with the reason."""
    folder = Path(
        os.environ.get("CLEARWAY_TEST_DATA", REPOSITORY.parent / "shared" / "data")
    ).resolve()
    if folder.is_dir():
        return folder
    reason = f"no real data at {folder}; set CLEARWAY_TEST_DATA"
    if os.environ.get("CLEARWAY_REQUIRE_DATA") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
