"""The list of sites that a person writes: one line for each, all faults told at once."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

from clearway_core.distance import distance_m
from clearway_core.errors import SettingsError
from clearway_fleet.sites import NAME, State

COLUMNS = ("site", "site_name", "lon_deg", "lat_deg", "gateway", "sources", "state")
_MAY_BE_ABSENT = frozenset({"gateway", "state"})

_TOO_CLOSE_M = 5.0
"""Two poles are further apart: a line was copied, and its position forgotten."""

_TOO_FAR_M = 100_000.0
"""A city is smaller: a digit is wrong, or longitude and latitude are swapped."""

_SOURCE = re.compile(
    r"(?:(?P<name>[a-z0-9][a-z0-9_-]*)=)?(?P<kind>[a-z0-9_]+)(?::(?P<address>.+))?"
)

_ADDRESSES = {
    "serial": r"(/.+)",
    "url": r"(https?://.+)",
    "file": r"file:(.+)",
    "tcp": r"tcp:([^\s:]+:\d+)",
    "broker": r"([^\s:]+:\d+)",
}
"""Key of a source's settings, and how an address looks that belongs to it."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceWish:
    """One sensor as the list names it.

    Parameters
    ----------
    kind
        Such as pmsx003.
    name
        Its name on the gateway, or None for the usual one.
    key, address
        Under which key of its settings, and where it is reached; None: as in the sample.
    """

    kind: str
    name: str | None
    key: str | None
    address: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSite:
    """One line of the list.

    Parameters
    ----------
    line
        Its number in the file.
    site, site_name, lon_deg, lat_deg
        As in the register. [°]
    gateway
        Name of the device, or None where one is to be assigned.
    sources
        Its sensors.
    state
        For a site that the register does not know yet.
    """

    line: int
    site: str
    site_name: str
    lon_deg: float
    lat_deg: float
    gateway: str | None
    sources: tuple[SourceWish, ...]
    state: State


def read_site_file(file: Path, kinds: Collection[str], area_deg: Box | None) -> list[PlannedSite]:
    """Return the sites of a list.

    Parameters
    ----------
    file
        CSV with the columns of `COLUMNS`; ``gateway`` and ``state`` may be absent.
    kinds
        Kinds of source that a gateway knows.
    area_deg
        (west, south, east, north) of the city, if known. [°]

    Raises
    ------
    SettingsError
        With every fault: line, value, what was expected.
    """
    rows = _rows(file)
    reading = _Reading(file=str(file), kinds=kinds, area_deg=area_deg)
    sites = [site for line, row in rows if (site := reading.site(line, row)) is not None]
    reading.compare(sites)
    if not rows:
        reading.faults.append(f"{file}: expected a line for each site, got none")
    if reading.faults:
        raise SettingsError(reading.faults)
    return sites


def _rows(file: Path) -> list[tuple[int, dict[str, str]]]:
    """Return number and values of each line that is not empty."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        fault = f"{file}: cannot be read ({error.strerror}); check the path"
        raise SettingsError([fault]) from error
    except UnicodeDecodeError as error:
        fault = f"{file}: is not UTF-8 (byte {error.start}): save it as 'CSV UTF-8'"
        raise SettingsError([fault]) from error
    reader = csv.reader(io.StringIO(text, newline=""))
    header = [name.strip() for name in next(reader, [])]
    missing = [name for name in COLUMNS if name not in header and name not in _MAY_BE_ABSENT]
    unknown = [name for name in header if name not in COLUMNS]
    doubled = sorted({name for name in header if header.count(name) > 1})
    if missing or unknown or doubled:
        hint = "; columns are separated by commas" if ";" in "".join(header) else ""
        fault = (
            f"{file}, line 1: expected the columns {', '.join(COLUMNS)} (gateway and state may be "
            f"absent), got {', '.join(header) or 'nothing'}{hint}"
        )
        raise SettingsError([fault])
    rows = []
    faults = []
    for values in reader:
        line = reader.line_num
        if not any(value.strip() for value in values):
            continue
        if len(values) != len(header):
            faults.append(
                f"{file}, line {line}: expected {len(header)} values, got {len(values)}; a comma "
                "within a name needs quotes around it"
            )
            continue
        rows.append((line, dict(zip(header, (v.strip() for v in values), strict=True))))
    if faults:
        raise SettingsError(faults)
    return rows


@dataclass(slots=True, kw_only=True)
class _Reading:
    """What is known while lines are read."""

    file: str
    kinds: Collection[str]
    area_deg: Box | None
    faults: list[str] = field(default_factory=list)
    seen: dict[tuple[str, str], int] = field(default_factory=dict)

    def fault(self, line: int, problem: str) -> None:
        self.faults.append(f"{self.file}, line {line}: {problem}")

    def site(self, line: int, row: Mapping[str, str]) -> PlannedSite | None:
        """Return the site of a line, or None if it is too faulty to compare with others."""
        for column in ("site", "gateway"):
            self._name(line, column, row.get(column, ""))
        name = row["site_name"]
        if not name or not name.isprintable():
            self.fault(line, f"site_name: expected a name for people, got {name!r}")
        self._once(line, "site_name", name)
        lon = self._degrees(line, "lon_deg", row["lon_deg"], 180.0)
        lat = self._degrees(line, "lat_deg", row["lat_deg"], 90.0)
        state = self._state(line, row.get("state", ""))
        sources = self._sources(line, row["sources"])
        if lon is None or lat is None:
            return None
        self._inside(line, lon, lat)
        return PlannedSite(
            line=line,
            site=row["site"],
            site_name=name,
            lon_deg=lon,
            lat_deg=lat,
            gateway=row.get("gateway") or None,
            sources=sources,
            state=state,
        )

    def compare(self, sites: Collection[PlannedSite]) -> None:
        """Report positions that are the same, and those far from all others."""
        if not sites:
            return
        middle = sorted(site.lon_deg for site in sites), sorted(site.lat_deg for site in sites)
        centre = middle[0][len(sites) // 2], middle[1][len(sites) // 2]
        earlier: list[PlannedSite] = []
        for site in sites:
            place = site.lon_deg, site.lat_deg
            for other in earlier:
                if distance_m(*place, other.lon_deg, other.lat_deg) < _TOO_CLOSE_M:
                    self.fault(
                        site.line,
                        f"{site.site} stands where {other.site} of line {other.line} does "
                        f"({site.lon_deg}, {site.lat_deg}): was the line copied?",
                    )
            if self.area_deg is None and distance_m(*place, *centre) > _TOO_FAR_M:
                self.fault(
                    site.line,
                    f"lon_deg, lat_deg = {site.lon_deg}, {site.lat_deg} is "
                    f"{distance_m(*place, *centre) / 1000:,.0f} km from the other sites: is a "
                    "digit wrong, or are longitude and latitude swapped?",
                )
            earlier.append(site)

    def _name(self, line: int, column: str, text: str) -> None:
        if not text and column == "gateway":
            return
        if NAME.fullmatch(text) is None:
            self.fault(line, f"{column}: expected small letters, digits, . _ or -, got {text!r}")
        self._once(line, column, text)

    def _once(self, line: int, column: str, text: str) -> None:
        before = self.seen.setdefault((column, text), line)
        if before != line:
            self.fault(line, f"{column} = {text!r} stands in line {before} too: give it another")

    def _degrees(self, line: int, column: str, text: str, most: float) -> float | None:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if isfinite(value) and abs(value) <= most:
            return value
        hint = "; write a decimal point, not a comma" if "," in text else ""
        self.fault(line, f"{column}: expected -{most:g} to {most:g}, got {text!r}{hint}")
        return None

    def _inside(self, line: int, lon: float, lat: float) -> None:
        if self.area_deg is None:
            return
        west, south, east, north = self.area_deg
        if west <= lon <= east and south <= lat <= north:
            return
        swapped = west <= lat <= east and south <= lon <= north
        hint = ": longitude and latitude are swapped" if swapped else ": correct it"
        self.fault(
            line,
            f"lon_deg, lat_deg = {lon}, {lat} is outside of the city's service area "
            f"({west} to {east}, {south} to {north}){hint}",
        )

    def _state(self, line: int, text: str) -> State:
        allowed = (State.PLANNED, State.ACTIVE, State.MAINTENANCE)
        if text and text not in allowed:
            self.fault(line, f"state: expected one of {', '.join(allowed)}, got {text!r}")
            return State.PLANNED
        return State(text or State.PLANNED)

    def _sources(self, line: int, text: str) -> tuple[SourceWish, ...]:
        wishes = []
        for part in filter(None, (part.strip() for part in text.split(";"))):
            wish = self._source(line, part)
            if wish is not None:
                wishes.append(wish)
        if not text:
            self.fault(line, "sources: expected such as pmsx003:/dev/ttyUSB0;nmea:/dev/ttyACM0")
        addresses = [wish.address for wish in wishes if wish.address is not None]
        for address in sorted({each for each in addresses if addresses.count(each) > 1}):
            self.fault(line, f"sources: {address} is given twice; one port serves one source")
        return tuple(wishes)

    def _source(self, line: int, part: str) -> SourceWish | None:
        found = _SOURCE.fullmatch(part)
        if found is None or found["kind"] not in self.kinds:
            self.fault(
                line,
                f"sources: expected KIND:ADDRESS with a kind out of {', '.join(sorted(self.kinds))}"
                f", got {part!r}",
            )
            return None
        key, address = _address(found["address"])
        if found["address"] and address is None:
            self.fault(
                line,
                "sources: expected an address such as /dev/ttyUSB0, tcp:HOST:PORT, file:PATH, "
                f"http://HOST/PATH or HOST:PORT, got {found['address']!r}",
            )
        return SourceWish(kind=found["kind"], name=found["name"], key=key, address=address)


def _address(text: str | None) -> tuple[str | None, str | None]:
    """Return the key of a source's settings that an address belongs to, and the address."""
    for key, pattern in _ADDRESSES.items():
        if text and (found := re.fullmatch(pattern, text)):
            return key, found[1]
    return None, None
