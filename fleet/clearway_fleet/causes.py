"""Why something needs a hand, and what people are told about it (`params/causes.toml`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from clearway_core.settings import Section, open_toml, raise_faults
from clearway_fleet.thresholds import PARAMETER_FOLDER

NOTHING_HEARD = "nothing_heard"
GATEWAY_SILENT = "gateway_silent"
OUTBOX_SET_ASIDE = "outbox_set_aside"
READINGS_LOST = "readings_lost"
BOOKS_DIFFERENCE = "books_difference"
BACKLOG_GROWING = "backlog_growing"
SENSOR_SILENT = "sensor_silent"
WRONG_SITE = "wrong_site"
CLOCK_WRONG = "clock_wrong"
DISK_NEARLY_FULL = "disk_nearly_full"
PROCESSOR_HOT = "processor_hot"
CERTIFICATE_EXPIRES = "certificate_expires"
CERTIFICATE_EXPIRES_SOON = "certificate_expires_soon"
PROVIDER_SILENT = "provider_silent"
QUARANTINE_HIGH = "quarantine_high"

NO_ALARM = frozenset({PROCESSOR_HOT})
"""Shown in the list of repairs, but nobody is woken for it: readings go on."""

TAKES_OVER = {CERTIFICATE_EXPIRES_SOON: CERTIFICATE_EXPIRES}
"""An alarm of the first ends one of the second without a word: it is the same thing, later."""

_LEAST_URGENT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What people are told about a cause.

    Parameters
    ----------
    name
        Short name, as tables hold it.
    title
        First words of a message.
    urgency
        From 1 (readings are being lost, or nobody sees anything) to 3 (plan a visit).
    bring
        What to take along.
    first
        What to do first.
    kinds
        What to take along, by kind of sensor.
    """

    name: str
    title: str
    urgency: int
    bring: str
    first: str
    kinds: Mapping[str, str] = field(default_factory=dict)


@cache
def causes() -> Mapping[str, Cause]:
    """Return every cause by its name.

    Raises
    ------
    SettingsError
        With every fault of the file.
    """
    top, faults = open_toml(PARAMETER_FOLDER / "causes.toml")
    found = {name: _cause(name, top.section(name)) for name in top.keys()}  # noqa: SIM118 -- no dict
    raise_faults(faults)
    return found


def _cause(name: str, section: Section) -> Cause:
    kinds = section.section("kinds")
    cause = Cause(
        name=name,
        title=section.text("title"),
        urgency=section.whole("urgency", minimum=1, maximum=_LEAST_URGENT),
        bring=section.text("bring"),
        first=section.text("first"),
        kinds={kind: kinds.text(kind) for kind in kinds.keys()},  # noqa: SIM118
    )
    section.finish()
    return cause
