"""A source profile drafted from a sample, with every doubt as a question."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from statistics import median

from clearway_core.contracts.wire import AIR_READING, GPS_PING, VEHICLE_CLASSES
from clearway_edge.inspection.clocks import ClockGuess, guess_clock
from clearway_edge.inspection.draft import UNANSWERED, Draft, quoted
from clearway_edge.inspection.roles import CHANNEL_NAMES, Roles, find_roles, numbers_of
from clearway_edge.inspection.sample import Sample
from clearway_edge.inspection.zones import propose_zones
from clearway_edge.rows.profile import FileKind, TimeFormat

_UNIT_SUFFIXES = {
    "kmh": "kmh", "kph": "kmh", "mps": "mps", "mph": "mph", "knots": "knots", "kn": "knots",
}  # fmt: skip
_SPEED_SENTINELS = (255.0, 113.9952, -1.0, 999.0, 65_535.0, -999.0)
_CHINA_DEG = (73.0, 18.0, 135.5, 54.0)
_NOT_CHINA_DEG = ((97.5, 27.0), (108.0, 21.5))
"""South-western corners of that box: India and Myanmar, Indochina. (lon, lat) [°]"""
_PAIR = re.compile(r"\[\s*(-?\d+\.?\d*)\s*,\s*(-?\d+\.?\d*)\s*\]")


def draft_profile(sample: Sample, *, tentative: bool) -> Draft:
    """Return the drafted profile of a sample."""
    roles = find_roles(sample)
    draft = Draft(sample=sample, roles=roles, tentative=tentative)
    channels = _channels(sample)
    is_air = bool(channels) and "vehicle" not in roles.by_role
    draft.lines.append(f"# Drafted from the first {sample.n_rows:,} rows of {sample.file.name}.")
    draft.lines.append('# Answer every QUESTION; keys with "?" are refused until then.')
    stem = re.sub(r"[^a-z0-9]+", "-", sample.file.name.lower().split(".")[0]).strip("-") or "file"
    draft.text("name", stem)
    draft.text("contract", AIR_READING.identifier if is_air else GPS_PING.identifier)
    if not is_air:
        _provider(draft, stem)
    zone = _zone(draft)
    _format(draft)
    if is_air:
        _sensor(draft, channels, stem)
    else:
        _vehicle(draft)
    _time(draft, zone)
    _position(draft)
    if not is_air:
        _speed(draft)
        _others(draft)
        _privacy(draft)
    return draft


def _provider(draft: Draft, stem: str) -> None:
    if "provider" in draft.roles.by_role:
        draft.text("provider_column", draft.roles.by_role["provider"])
        return
    text = "Who operates the vehicles (small letters, digits, . _ -)?"
    draft.text("provider", draft.ask("provider", text, stem[:64]))


def typical_position(sample: Sample, roles: Roles) -> tuple[float, float] | None:
    """Return the median (lon, lat) [°] of a sample, or None if it has none."""
    by_role = roles.by_role
    if "lon" in by_role and "lat" in by_role:
        comma = sample.decimal_comma
        lon = [n for n in numbers_of(sample.columns[by_role["lon"]], decimal_comma=comma) if n]
        lat = [n for n in numbers_of(sample.columns[by_role["lat"]], decimal_comma=comma) if n]
    elif "polyline" in by_role:
        pairs = [
            pair
            for value in sample.columns[by_role["polyline"]]
            for pair in _PAIR.findall(str(value))[:1]
        ]
        lon, lat = [float(a) for a, _ in pairs], [float(b) for _, b in pairs]
    else:
        return None
    return (median(lon), median(lat)) if lon and lat else None


def _zone(draft: Draft) -> str:
    place = typical_position(draft.sample, draft.roles)
    proposals = [] if place is None else propose_zones(*place)
    if place is None or not proposals:
        text = "Which IANA time zone is the city in? Its 04:00 turns the pseudonyms."
        zone = draft.ask("time_zone", text, "UTC" if draft.tentative else UNANSWERED)
    else:
        text = (
            f"Is {proposals[0]} the city's time zone? Proposed from the position (lon "
            f"{place[0]:.2f}, lat {place[1]:.2f}): the nearest reference city; then come "
            f"{', '.join(proposals[1:])}. It may be none of them."
        )
        zone = draft.ask("time_zone", text, proposals[0])
    draft.text("time_zone", zone)
    return zone


def _format(draft: Draft) -> None:
    sample = draft.sample
    draft.table("format")
    draft.text("kind", sample.kind)
    if sample.kind is FileKind.ARCHIVE:
        before, after = re.escape(sample.member_prefix), re.escape(sample.member_suffix)
        pattern = rf"(^|/){before}(?P<vehicle>[^/]+){after}$"
        draft.ask(
            "format.member_pattern", "Does this find the vehicle in a member's name?", pattern
        )
        draft.text("member_pattern", pattern)
    if sample.kind in {FileKind.CSV, FileKind.ARCHIVE}:
        names = {" ": "space", "\t": "tab"}
        draft.text("separator", names.get(sample.separator, sample.separator))
        if not sample.header:
            names_list = ", ".join(quoted(name) for name in sample.columns)
            text = "The file has no header. What are its columns, in their order?"
            draft.ask("format.columns", text, names_list)
            draft.lines.append(f"columns = [{names_list}]")
        if sample.decimal_comma:
            draft.lines.append("decimal_comma = true")
        if sample.encoding != "utf-8-sig":
            draft.text("encoding", sample.encoding)
    if sample.records:
        draft.text("records", sample.records)


def _column(draft: Draft, role: str, key: str, what: str) -> str:
    """Return the column of a role, asked about where its name does not say it."""
    found = draft.roles.by_role.get(role)
    if found is None:
        names = ", ".join(draft.sample.columns)
        return draft.ask(key, f"Which column is {what}? There are {names}.", UNANSWERED)
    if role in draft.roles.inferred:
        shown = ", ".join(str(value) for value in draft.sample.columns[found][:2])
        hint = f"such as {shown}" if role in {"lat", "lon"} else "judged by its values"
        return draft.ask(key, f"Is {found} {what} ({hint})?", found)
    rivals = draft.roles.rivals.get(role, ())
    if rivals:
        text = f"Is {found} {what}, or {', '.join(rivals[:3])}?"
        return draft.ask(key, text, found)
    return found


def _vehicle(draft: Draft) -> None:
    draft.table("vehicle")
    by_role = draft.roles.by_role
    if draft.sample.kind is not FileKind.ARCHIVE or "vehicle" in by_role:
        draft.text("column", _column(draft, "vehicle", "vehicle.column", "the vehicle's name"))
    column = by_role.get("class")
    if column is None:
        text = f"Which vehicles are these: {', '.join(VEHICLE_CLASSES)}?"
        draft.text("class", draft.ask("vehicle.class", text, "unknown"))
        return
    draft.text("class_column", column)
    draft.table("vehicle.classes")
    text = f"Which class is each value of {column}: {', '.join(VEHICLE_CLASSES)}?"
    draft.ask("vehicle.classes", text, "see the table")
    for value in sorted({str(v) for v in draft.sample.columns[column] if v is not None})[:50]:
        known = value.lower() if value.lower() in VEHICLE_CLASSES else "unknown"
        draft.lines.append(f"{quoted(value)} = {quoted(known)}")


def _channels(sample: Sample) -> dict[str, str]:
    found: dict[str, str] = {}
    for channel, pattern in CHANNEL_NAMES.items():
        for name, values in sample.columns.items():
            if pattern.fullmatch(name) and numbers_of(values, decimal_comma=sample.decimal_comma):
                found.setdefault(channel, name)
    return found


def _sensor(draft: Draft, channels: dict[str, str], stem: str) -> None:
    draft.table("sensor")
    column = draft.roles.by_role.get("sensor")
    if column is not None:
        draft.text("id_column", column)
    else:
        text = "The file names no sensor. Which one is it, or is it several (then add a column)?"
        draft.text("id", draft.ask("sensor.id", text, stem))
    text = "Which sensor model is it (such as pms5003; reference for a regulatory instrument)?"
    draft.text(
        "model", draft.ask("sensor.model", text, "unknown" if draft.tentative else UNANSWERED)
    )
    for channel, name in channels.items():
        draft.table(f"channels.{channel}")
        text = f"Is column {name} really {channel}, in that unit and as the sensor gave it?"
        draft.text("column", draft.ask(f"channels.{channel}", text, name))


def _time(draft: Draft, zone: str) -> None:
    draft.table("time")
    column = _column(draft, "time", "time.column", "the time of the fix")
    draft.text("column", column)
    guess = guess_clock(draft.sample.columns.get(column, ()))
    if guess.format is None:
        text = "How is time written: unix_s, unix_ms, seconds_since, iso8601 or pattern?"
        given = draft.ask("time.format", text, "unix_s" if draft.tentative else UNANSWERED)
        draft.text("format", given)
        return
    if guess.relative:
        _relative(draft)
        return
    draft.text("format", guess.format)
    if guess.format is TimeFormat.PATTERN:
        _pattern(draft, guess)
    if guess.naive:
        text = f"The times carry no offset. Are they local times of {zone}, or UTC?"
        draft.text("zone", draft.ask("time.zone", text, zone))


def _relative(draft: Draft) -> None:
    text = "The times are small numbers. Since which instant do they count seconds?"
    given = draft.ask("time.since", text, UNANSWERED)
    if draft.tentative:
        draft.text("format", "unix_s")
    else:
        draft.text("format", "seconds_since")
        draft.text("since", given)


def _pattern(draft: Draft, guess: ClockGuess) -> None:
    pattern = guess.pattern
    if guess.rivals:
        text = f"Is the date written {guess.pattern}, or {' or '.join(guess.rivals)}? All fit."
        pattern = draft.ask("time.pattern", text, guess.pattern)
    draft.text("pattern", pattern)


def _position(draft: Draft) -> None:
    draft.table("position")
    if "polyline" in draft.roles.by_role:
        draft.text("polyline", draft.roles.by_role["polyline"])
        text = "Are the positions of a list [lon, lat] (lon_lat) or [lat, lon] (lat_lon)?"
        order = draft.ask("position.order", text, _order(draft))
        draft.text("order", "lon_lat" if draft.tentative and order == UNANSWERED else order)
        text = "How many seconds lie between two positions of a list?"
        step = draft.ask("position.step_s", text, UNANSWERED)
        draft.lines.append("step_s = 15" if draft.tentative else f"step_s = {quoted(step)}")
    else:
        lon = _column(draft, "lon", "position.lon", "the longitude")
        lat = _column(draft, "lat", "position.lat", "the latitude")
        draft.text("lon", lon)
        draft.text("lat", lat)
    _datum(draft)


def _order(draft: Draft) -> str:
    column = draft.roles.by_role["polyline"]
    pairs = _PAIR.findall(" ".join(str(v) for v in draft.sample.columns[column][:100]))
    if any(abs(float(first)) > 90 for first, _ in pairs):  # noqa: PLR2004 -- no latitude
        return "lon_lat"
    if any(abs(float(second)) > 90 for _, second in pairs):  # noqa: PLR2004
        return "lat_lon"
    return UNANSWERED


def _datum(draft: Draft) -> None:
    place = typical_position(draft.sample, draft.roles)
    if place is not None and may_be_china(*place):
        text = (
            "Which coordinate system: wgs84, gcj02 or bd09? In China maps and fleets often use "
            "gcj02, which is off by 300-600 m."
        )
        datum = draft.ask("position.datum", text, UNANSWERED)
        draft.text("datum", "wgs84" if draft.tentative else datum)
        return
    text = "Is the coordinate system wgs84? Outside of China it nearly always is."
    draft.text("datum", draft.ask("position.datum", text, "wgs84"))


def may_be_china(lon_deg: float, lat_deg: float) -> bool:
    """Return whether a position lies in or near China; a coarse box without India and Indochina."""
    west, south, east, north = _CHINA_DEG
    if not (west <= lon_deg <= east and south <= lat_deg <= north):
        return False
    return not any(lon_deg < lon and lat_deg < lat for lon, lat in _NOT_CHINA_DEG)


def _speed(draft: Draft) -> None:
    column = draft.roles.by_role.get("speed")
    if column is None:
        return
    suffix = column.rsplit("_", 1)[-1].lower()
    unit = _UNIT_SUFFIXES.get(suffix)
    if unit is None and draft.tentative:
        return
    draft.table("speed")
    draft.text("column", column)
    if unit is None:
        text = f"In which unit is {column}: kmh, mps, mph or knots?{_speed_hint(draft, column)}"
        unit = draft.ask("speed.unit", text, UNANSWERED)
    draft.text("unit", unit)
    found = Counter(round(n, 4) for n in numbers_of(draft.sample.columns[column]))
    suspects = [value for value in _SPEED_SENTINELS if found[value]]
    if suspects:
        shown = ", ".join(f"{value:g}" for value in suspects)
        draft.ask("speed.sentinels", f"Does {shown} mean 'no speed'?", f"[{shown}]")
        draft.lines.append(f"sentinels = [{shown}]")


def _speed_hint(draft: Draft, column: str) -> str:
    numbers = sorted(numbers_of(draft.sample.columns[column]))
    if not numbers:
        return ""
    high = numbers[int(len(numbers) * 0.95)]
    return f" Of 20 values 19 are below {high:.4g}."


def _others(draft: Draft) -> None:
    by_role = draft.roles.by_role
    for role in ("heading", "accuracy"):
        if role in by_role:
            draft.table(role)
            draft.text("column", by_role[role])
    if "occupied" in by_role:
        draft.table("occupied")
        name = by_role["occupied"]
        values = sorted({str(value).strip() for value in draft.sample.columns[name]} - {"None", ""})
        text = f"Does {name} say whether a passenger is on board, and which value means yes?"
        draft.ask("occupied.true_values", text, "1 or true")
        draft.text("column", name)
        yes = [v for v in values if v.lower() in {"1", "true", "yes", "y", "t"}]
        no = [v for v in values if v not in yes]
        draft.lines.append(f"true_values = {_list(yes)}")
        draft.lines.append(f"false_values = {_list(no)}")


def _privacy(draft: Draft) -> None:
    draft.table("privacy")
    text = (
        "May the first and last minutes of each trip be kept? For taxis and buses yes; for "
        "private cars they show homes, so they are cut."
    )
    ends = draft.ask("privacy.trip_ends", text, "cut")
    draft.text("trip_ends", "keep" if draft.tentative else ends)


def _list(values: Sequence[str]) -> str:
    return "[" + ", ".join(quoted(value) for value in values) + "]"
