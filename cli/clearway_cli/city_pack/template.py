"""Writes a city pack to fill in: every value that nobody has confirmed is marked."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from clearway_cli.city_pack.check import ASSUMPTION
from clearway_cli.city_pack.tables import TABLES
from clearway_core.city import CITY_FILE, OPTIONAL_FILES
from clearway_core.errors import UsageError

_HOUR_DEG = 15.0
_MARGIN_DEG = 0.01
_WIDE_MARGIN_DEG = 0.1
_NOWHERE_DEG = (0.0, 0.0, 0.2, 0.2)

Box = tuple[float, float, float, float]


def write_template(folder: Path, *, name: str, files: Sequence[Path] = ()) -> list[Path]:
    """Write a pack with a commented ``city.toml`` and return the files written.

    Parameters
    ----------
    folder
        New folder, or one without a ``city.toml``.
    name
        The city's name.
    files
        GeoJSON and CSV files of the city, already named as a pack names them; they are copied, and
        the service area is the box around their positions.

    Raises
    ------
    UsageError
        If there already is a pack, or a file is not one that a pack has.
    """
    if (folder / CITY_FILE).exists():
        message = f"{folder / CITY_FILE} is already there; edit it, or choose another folder"
        raise UsageError(message)
    targets = [(file, folder / _place_in_pack(file)) for file in files]
    box = _box(files)
    (folder / "zones").mkdir(parents=True, exist_ok=True)
    written = []
    for source, target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        written.append(target)
    city_file = folder / CITY_FILE
    city_file.write_text(_city_toml(name, box), encoding="utf-8")
    readme = folder / "README.md"
    readme.write_text(_readme(name, folder), encoding="utf-8")
    return [city_file, readme, *written]


def _place_in_pack(file: Path) -> Path:
    if not file.is_file():
        message = f"expected a file to copy into the pack, found none at {file}"
        raise UsageError(message)
    if file.name in OPTIONAL_FILES or file.name == "water.geojson":
        return Path(file.name)
    if file.suffix == ".geojson":
        return Path("zones") / file.name
    known = ", ".join((*OPTIONAL_FILES, "any other .geojson as a zone"))
    message = f"{file.name} is not a file of a city pack: name it as one of {known}"
    raise UsageError(message)


def _box(files: Sequence[Path]) -> Box | None:
    positions = [position for file in files for position in _positions(file)]
    if not positions:
        return None
    lons, lats = zip(*positions, strict=True)
    margin = _MARGIN_DEG if max(lons) - min(lons) > _WIDE_MARGIN_DEG else _WIDE_MARGIN_DEG
    return (min(lons) - margin, min(lats) - margin, max(lons) + margin, max(lats) + margin)


def _positions(file: Path) -> Iterator[tuple[float, float]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
        if file.suffix == ".geojson":
            yield from _numbers_in(json.loads(text))
            return
        for row in csv.DictReader(io.StringIO(text)):
            if "lon_deg" in row and "lat_deg" in row:
                yield float(row["lon_deg"]), float(row["lat_deg"])
    except (ValueError, TypeError) as error:
        message = f"{file} cannot be read: {error}. Correct it, or leave it out for now."
        raise UsageError(message) from error


def _numbers_in(value: object) -> Iterator[tuple[float, float]]:
    """Yield every [longitude, latitude] below ``coordinates``, however deep."""
    if isinstance(value, dict):
        for key in ("features", "geometry", "coordinates"):
            yield from _numbers_in(value.get(key))
    elif isinstance(value, list):
        first_two = value[:2]
        if len(first_two) > 1 and all(isinstance(v, int | float) for v in first_two):
            yield float(value[0]), float(value[1])
        else:
            for item in value:
                yield from _numbers_in(item)


def _city_toml(name: str, box: Box | None) -> str:
    west, south, east, north = box or _NOWHERE_DEG
    hours = round((west + east) / 2 / _HOUR_DEG)
    zone = "UTC" if box is None or hours == 0 else f"Etc/GMT{-hours:+d}"
    origin = "around the files given" if box is not None else "nothing known yet"
    edges = [
        math.floor(west * 1000) / 1000,
        math.floor(south * 1000) / 1000,
        math.ceil(east * 1000) / 1000,
        math.ceil(north * 1000) / 1000,
    ]
    return f"""# A city pack. Nobody has confirmed the lines with the mark {ASSUMPTION}; correct or
# confirm them, then delete the mark. `clearway city check` lists faults and open assumptions.
[city]
name = {json.dumps(name, ensure_ascii=False)}

# Two letters of ISO 3166-1.
country = "XX"  # {ASSUMPTION}: no country given

# State or province, as in ISO 3166-2 without the country, where public holidays differ by it.
# subdivision = "CA"

# IANA time zone. It decides what an hour, a day and a rush hour are.
time_zone = "{zone}"  # {ASSUMPTION}: from the longitude alone, without summer time

# [west, south, east, north] in degrees. Fixes far outside are set aside, so be generous.
service_area_deg = {edges}  # {ASSUMPTION}: {origin}

# ISO 4217 code and the year of all prices. Without both, no price can be stated.
# currency = "USD"
# price_year = 2026

# true only for a made-up city: every page then says so.
synthetic = false
"""


_WHAT = {
    "roads.geojson": "road lines, property `class` as in OpenStreetMap (motorway … residential)",
    "areas.geojson": "polygons, property `name`: wards or districts",
    "corridors.geojson": "lines in driving direction, properties `name` and `direction`",
    "holidays.csv": "columns `date`, `name` and, if wanted, `day_type`: `holiday` (default) or "
    "`workday` for a day that is none here",
    "events.csv": "columns `start`, `end` (local days or times), `name` and, if wanted, `area`",
}


def _readme(name: str, folder: Path) -> str:
    lines = [
        f"# City pack: {name}",
        "",
        "Every file but `city.toml` is optional. What is missing limits what is claimed:",
        "",
    ]
    for file, consequence in OPTIONAL_FILES.items():
        columns = TABLES[file].columns if file in TABLES else ()
        what = _WHAT.get(file) or "columns " + ", ".join(f"`{column}`" for column in columns)
        lines.append(f"- `{file}`: {what}. Without it: {consequence}.")
    lines += [
        "- `zones/*.geojson`: polygons of candidate charge zones.",
        "",
        "State the source of every file here, and whether it may be passed on.",
        "",
        f"Check it: `clearway city check {folder}`",
        "",
    ]
    return "\n".join(lines)
