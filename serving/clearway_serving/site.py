"""What every route needs to know: the city, its clock and what may be shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from clearway_core.city import City
from clearway_serving.places import Places
from clearway_serving.published import PublishedTables


@dataclass(frozen=True, kw_only=True)
class Site:
    """One city's data behind one address.

    Parameters
    ----------
    published
        The gated tables.
    city
        The city pack, or None where none was chosen; then times are UTC and nothing has a name.
    approval_url
        Where people approve proposals, if known.
    """

    published: PublishedTables
    city: City | None
    approval_url: str | None = None

    @property
    def time_zone(self) -> ZoneInfo:
        """The city's time zone; UTC without a city pack."""
        return self.city.time_zone if self.city is not None else ZoneInfo("UTC")

    @cached_property
    def places(self) -> Places:
        """Names of cells."""
        return Places(self.city)

    def day(self, local_date: date) -> tuple[datetime, datetime]:
        """Return start and end of a local calendar day as UTC instants; 23 to 25 hours long."""
        start, end = (
            datetime.combine(local_date + timedelta(days=n), time(), tzinfo=self.time_zone)
            for n in (0, 1)
        )
        return start.astimezone(UTC), end.astimezone(UTC)
