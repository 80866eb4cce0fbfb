"""What the doctor says of one thing, and what it looks at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class State(StrEnum):
    """How bad it is."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor.

    Parameters
    ----------
    state
        Green: fine; yellow: works with less; red: something needed is broken.
    subject
        What was looked at.
    text
        What was found and, where it is not green, what to do.
    """

    state: State
    subject: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What the commands of this installation would work with.

    Parameters
    ----------
    data_dir
        The data folder.
    log_address, lake_address, city_name
        As given; None where the default holds.
    environment
        Usually ``os.environ``.
    """

    data_dir: Path
    log_address: str | None
    lake_address: str | None
    city_name: str | None
    environment: Mapping[str, str]


Findings = Iterator[tuple[str, str, str]]
"""State, subject and text."""
