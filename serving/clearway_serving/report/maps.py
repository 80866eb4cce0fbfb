"""Maps as PNG: hexagons by travel time index over the city pack's water and roads.

Pictures hold no words, only figures and signs, so that one set serves every language and no font
for Chinese is needed where they are drawn.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clearway_core.city import City
from clearway_core.geo import boundary_of, cell_number
from clearway_serving.report.figures import MonthReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#f6e7b4", "#f2b95a", "#df7838", "#ab3049", "#561744")
"""From free to severe; the same as on the web map (``static/js/scale.js``)."""

UNKNOWN_COLOUR = "#cfd7dc"

BREAKS = (1.2, 1.5, 2.0, 3.0)
"""Travel time index at which the next colour begins. [1]"""

_TO = " \N{EN DASH} "

LABELS = ("< 1.2", f"1.2{_TO}1.5", f"1.5{_TO}2", f"2{_TO}3", "> 3")

PERIOD_ORDER = (
    ("workday", "morning_peak"),
    ("workday", "midday"),
    ("workday", "evening_peak"),
    ("weekend", "daytime"),
    ("holiday", "daytime"),
    ("all", "overnight"),
)
"""Kinds of day and periods, in the order in which maps are shown."""

MOST_MAPS = 4
"""As many stand on one page."""

_HATCH_COLOUR = "#8b98a1"
_WATER_COLOUR = "#dbe9f1"
_ROAD_COLOUR = "#9aa7b0"
_WIDE_ROADS = frozenset({"motorway", "trunk", "primary"})
_DPI = 200
_WIDTH_IN = 5.6
_TALLEST = 1.12
"""Height over width of the map; two rows of taller ones would not fit on a page."""

_WIDEST = 0.6
_LEGEND_IN = 0.5
_MARGIN = 0.04
_SCALE_BAR_SHARE = 0.25
_METRES_PER_DEGREE = 111_195.08

Line = list[tuple[float, float]]


def step_of(tti: float) -> int:
    """Return the colour class of a travel time index, 0 (free) to 4 (severe)."""
    return sum(tti >= each for each in BREAKS)


def map_periods(report: MonthReport) -> list[tuple[str, str]]:
    """Return the kinds of day and periods with something to draw, at most `MOST_MAPS`."""
    rows = report.tables["cells"].drop_nulls("tti")
    held = set(rows.select("day_group", "period").unique().iter_rows())
    return [each for each in PERIOD_ORDER if each in held][:MOST_MAPS]


def map_name(day_group: str, period: str) -> str:
    """Return the file name of a map."""
    return f"map-{day_group}-{period}.png"


def write_maps(report: MonthReport, city: City | None, folder: Path) -> list[Path]:
    """Draw every map of a month into a folder, all of one extent; return their files."""
    extent = _extent(report)
    written = []
    for day_group, period in map_periods(report):
        path = folder / map_name(day_group, period)
        figure = _figure(report, city, day_group=day_group, period=period, extent=extent)
        # No software version or date inside: the same figures give the same bytes.
        figure.savefig(path, dpi=_DPI, metadata={"Software": None})
        written.append(path)
    return written


def _figure(
    report: MonthReport,
    city: City | None,
    *,
    day_group: str,
    period: str,
    extent: tuple[float, float, float, float],
) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 -- slow to load
    from matplotlib.figure import Figure as NewFigure  # noqa: PLC0415

    west, south, east, north = extent
    shrink = math.cos(math.radians((south + north) / 2))
    tall = (north - south) / ((east - west) * shrink)
    height_in = _WIDTH_IN * tall + _LEGEND_IN
    figure = NewFigure(figsize=(_WIDTH_IN, height_in), facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes(
        (0.005, _LEGEND_IN / height_in, 0.99, 1 - (_LEGEND_IN + 0.02) / height_in)
    )
    axes.set_xlim(west, east)
    axes.set_ylim(south, north)
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_edgecolor("#c3ccd2")
    mine = {"day_group": day_group, "period": period}
    _draw_areas_of_water(axes, city)
    _draw_cells(axes, report, mine)
    _draw_roads(axes, city)
    _draw_scale_bar(axes, extent)
    _draw_legend(figure, int(str(report.about["min_vehicles"])))
    return figure


def _draw_cells(axes: Axes, report: MonthReport, mine: dict[str, str]) -> None:
    from matplotlib.collections import PolyCollection  # noqa: PLC0415

    shown = report.tables["cells"].filter(**mine).drop_nulls("tti")
    hidden = report.withheld.filter(**mine)
    axes.add_collection(
        PolyCollection(
            [boundary_of(cell_number(cell)) for cell in hidden["h3_cell"]],
            facecolors=UNKNOWN_COLOUR,
            edgecolors=_HATCH_COLOUR,
            linewidths=0.2,
            hatch="//////",
            alpha=0.75,
        )
    )
    axes.add_collection(
        PolyCollection(
            [boundary_of(cell_number(cell)) for cell in shown["h3_cell"]],
            facecolors=[COLOURS[step_of(tti)] for tti in shown["tti"]],
            edgecolors="white",
            linewidths=0.5,
        )
    )


def _draw_areas_of_water(axes: Axes, city: City | None) -> None:
    from matplotlib.collections import LineCollection, PolyCollection  # noqa: PLC0415

    geometries = [geometry for _, geometry in _features(city, "water.geojson")]
    rings = [ring for geometry in geometries for ring in _rings(geometry)]
    lines = [line for geometry in geometries for line in _lines(geometry)]
    axes.add_collection(PolyCollection(rings, facecolors=_WATER_COLOUR, edgecolors="none"))
    axes.add_collection(LineCollection(lines, colors=_WATER_COLOUR, linewidths=1.5))


def _draw_roads(axes: Axes, city: City | None) -> None:
    from matplotlib.collections import LineCollection  # noqa: PLC0415

    roads = list(_features(city, "roads.geojson"))
    for wide, width, alpha in ((False, 0.25, 0.45), (True, 0.7, 0.6)):
        lines = [
            line
            for properties, geometry in roads
            if (properties.get("class") in _WIDE_ROADS) is wide
            for line in _lines(geometry)
        ]
        axes.add_collection(
            LineCollection(lines, colors=_ROAD_COLOUR, linewidths=width, alpha=alpha)
        )
    for _, geometry in _features(city, "areas.geojson"):
        axes.add_collection(
            LineCollection(_rings(geometry), colors="#495965", linewidths=0.5, linestyles="dotted")
        )


def _draw_scale_bar(axes: Axes, extent: tuple[float, float, float, float]) -> None:
    west, south, east, north = extent
    metres_per_degree = _METRES_PER_DEGREE * math.cos(math.radians((south + north) / 2))
    room_km = (east - west) * metres_per_degree * _SCALE_BAR_SHARE / 1000
    power = 10.0 ** math.floor(math.log10(room_km))
    length_km = max(n * power for n in (1, 2, 5) if n * power <= room_km)
    span = length_km * 1000 / metres_per_degree
    left, low = west + 0.03 * (east - west), south + 0.04 * (north - south)
    axes.plot([left, left + span], [low, low], color="#14222c", linewidth=2, solid_capstyle="butt")
    axes.annotate(
        f"{length_km:g} km",
        (left + span / 2, low),
        xytext=(0, 4),
        textcoords="offset points",
        ha="center",
        fontsize=8,
        color="#14222c",
    )
    axes.annotate(
        "N",
        (0.965, 0.965),
        xytext=(0.965, 0.895),
        xycoords="axes fraction",
        textcoords="axes fraction",
        ha="center",
        va="center",
        fontsize=8,
        color="#14222c",
        arrowprops={"arrowstyle": "-|>", "color": "#14222c", "linewidth": 1},
    )


def _draw_legend(figure: Figure, min_vehicles: int) -> None:
    from matplotlib.patches import Patch  # noqa: PLC0415

    marks = [
        Patch(facecolor=colour, edgecolor="#c3ccd2", label=label)
        for colour, label in zip(COLOURS, LABELS, strict=True)
    ]
    marks.append(
        Patch(
            facecolor=UNKNOWN_COLOUR,
            edgecolor=_HATCH_COLOUR,
            hatch="//////",
            label=f"n < {min_vehicles}",
        )
    )
    middle = _LEGEND_IN / figure.get_figheight() / 2
    figure.text(0.015, middle, "TTI", fontsize=9, weight="bold", va="center", color="#14222c")
    figure.legend(
        handles=marks,
        loc="center left",
        bbox_to_anchor=(0.07, middle),
        ncols=len(marks),
        frameon=False,
        fontsize=8,
        handlelength=1.4,
        handleheight=1.2,
        columnspacing=1.0,
        handletextpad=0.5,
    )


def _extent(report: MonthReport) -> tuple[float, float, float, float]:
    """Return west, south, east, north around every cell that is shown, with a margin."""
    shown = report.tables["cells"].drop_nulls("tti")
    corners = [
        corner for cell in shown["h3_cell"].unique() for corner in boundary_of(cell_number(cell))
    ]
    lons, lats = zip(*corners, strict=True) if corners else ((0.0, 1.0), (0.0, 1.0))
    middle = (min(lons) + max(lons)) / 2, (min(lats) + max(lats)) / 2
    shrink = math.cos(math.radians(middle[1]))
    grow = 1 + 2 * _MARGIN
    wide, tall = (max(lons) - min(lons)) * shrink * grow, (max(lats) - min(lats)) * grow
    wide, tall = max(wide, tall / _TALLEST), max(tall, wide * _WIDEST)
    half_lon, half_lat = wide / shrink / 2, tall / 2
    return middle[0] - half_lon, middle[1] - half_lat, middle[0] + half_lon, middle[1] + half_lat


def _features(
    city: City | None, name: str
) -> Iterator[tuple[dict[str, object], dict[str, object]]]:
    """Yield properties and geometry; what a pack lacks is not drawn."""
    path = None if city is None else city.file(name)
    if path is None:
        return
    for feature in json.loads(path.read_text(encoding="utf-8")).get("features", []):
        geometry = feature.get("geometry")
        if geometry:
            yield feature.get("properties") or {}, geometry


def _lines(geometry: dict[str, object]) -> list[Line]:
    return _parts(geometry, {"LineString": 1, "MultiLineString": 2})


def _rings(geometry: dict[str, object]) -> list[Line]:
    return _parts(geometry, {"Polygon": 2, "MultiPolygon": 3})


def _parts(geometry: dict[str, object], depths: dict[str, int]) -> list[Line]:
    """Return the lines or outlines of a geometry of one of these types, else none."""
    depth = depths.get(str(geometry.get("type")))
    if depth is None:
        return []
    parts: Sequence[object] = [geometry["coordinates"]]
    for _ in range(depth - 1):
        parts = [inner for outer in parts if isinstance(outer, list) for inner in outer]
    return [
        [(float(point[0]), float(point[1])) for point in part]
        for part in parts
        if isinstance(part, list)
    ]
