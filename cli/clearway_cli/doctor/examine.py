"""Looks at an installation and says what works, what works with less, and what is broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from clearway_cli.doctor import airflow, machine, settings, stores
from clearway_cli.doctor.finding import Finding, Findings, Installation, State
from clearway_core.errors import ClearwayError

_CHECKS: tuple[tuple[str, Callable[[Installation], Findings]], ...] = (
    ("Machine", machine.check_machine),
    ("Packages", machine.check_packages),
    ("Kafka here", machine.check_broker),
    ("Chromium", machine.check_browser),
    ("Clock", machine.check_clock),
    ("Settings", settings.check_settings),
    ("City", stores.check_city),
    ("Lake", stores.check_lake),
    ("Log", stores.check_log),
    ("Airflow", airflow.check_airflow),
)
"""Subject of each check if it breaks off itself, and the check, in the order of reading."""


def examine(installation: Installation) -> list[Finding]:
    """Return all findings, in the order in which a person would look."""
    return [
        finding for subject, check in _CHECKS for finding in _findings(subject, check, installation)
    ]


def _findings(
    subject: str, check: Callable[[Installation], Findings], installation: Installation
) -> Iterator[Finding]:
    """Yield what a check finds; a check that breaks off is a finding too."""
    try:
        for state, about, text in check(installation):
            yield Finding(State(state), about, text)
    except ClearwayError as error:
        yield Finding(State.RED, subject, str(error))
    except ModuleNotFoundError as error:
        yield Finding(State.RED, subject, f"cannot be looked at: {error.name} is not installed")
    except Exception as error:  # noqa: BLE001 -- the outermost loop of a diagnosis
        text = f"cannot be looked at: {type(error).__name__}: {error}".splitlines()[0]
        yield Finding(State.RED, subject, text)
