"""The report as one page set: HTML that stands alone and prints on A4."""

from __future__ import annotations

import base64
from functools import cache
from importlib import resources
from pathlib import Path

from markupsafe import Markup

from clearway_serving.report import maps, page_evidence, page_tables
from clearway_serving.report.edition import Change, Edition
from clearway_serving.report.figures import MonthReport
from clearway_serving.report.headline import headline_views, lead_text
from clearway_serving.report.html_table import environment
from clearway_serving.report.texts import Texts
from clearway_serving.report.wording import month_name, number, percent

_FONT = "static/vendor/inter/inter-latin.woff2"


def write_page(report: MonthReport, t: Texts, path: Path, edition: Edition) -> None:
    """Write the page set in one language; the maps lie beside it and are taken into it.

    Parameters
    ----------
    report
        The figures.
    t
        The language.
    path
        File to write.
    edition
        Which revision this is.
    """
    view = {
        **_document(report, t, edition),
        **_figures(report, t),
        "maps": _map_views(report, t, path.parent),
    }
    text = environment().get_template("report.html").render(view)
    path.write_text(text, encoding="utf-8")


def _document(report: MonthReport, t: Texts, edition: Edition) -> dict[str, object]:
    """Return what the page says of itself."""
    about = report.about
    city = str(about["city"] or t("document.city_unnamed"))
    month = month_name(t, str(about["month"]))
    footer = t("document.footer", city=city, month=month, n=edition.revision)
    return {
        "t": t,
        "lang": {"en": "en", "zh": "zh-Hans"}[t.language],
        "city": city,
        "month": month,
        "revision": edition.revision,
        "made_on": f"{edition.made_at:%Y-%m-%d}",
        "synthetic": about["synthetic"],
        "footer": Markup('"' + _css_text(footer) + '"'),  # noqa: S704 -- quoted for CSS
        "font_face": _font_face(),
        "changes": None if edition.change is None else _change_view(t, edition.change),
    }


def _figures(report: MonthReport, t: Texts) -> dict[str, object]:
    """Return what the page says of the month."""
    about = report.about
    return {
        "headline": headline_views(report, t),
        "n_days": report.tables["days"].height,
        "n_days_of_month": about["n_days_of_month"],
        "days_missing": page_evidence.days_missing(report, t),
        "min_hours": about["min_hours"],
        "min_vehicles": about["min_vehicles"],
        "map_colours": list(zip(maps.COLOURS, maps.LABELS, strict=True)),
        "tables": page_tables.all_tables(report, t),
        "corridor_changes": page_tables.corridor_changes(report, t),
        "lead": lead_text(report, t),
        "more_bottlenecks": page_tables.more(report, t, "bottlenecks"),
        "more_anomalies": page_tables.more(report, t, "anomalies"),
        "cleaning_text": page_evidence.cleaning_text(report, t),
        "suppression_text": _suppression_text(report, t),
        "method": _method(report, t),
        "limits": t.all("method.limits"),
        "glossary": _glossary(report, t),
    }


def _change_view(t: Texts, change: Change) -> dict[str, object]:
    reasons = [t(f"changes.{key}", n=change.previous, **values) for key, values in change.reasons]
    kinds = [each.kind for each in change.differences]
    summary = None
    if kinds:
        summary = t(
            "changes.summary",
            changed=number(kinds.count("changed")),
            added=number(kinds.count("added")),
            gone=number(kinds.count("gone")),
        )
    return {
        "previous": change.previous,
        "reasons": reasons,
        "summary": summary,
        "table": page_tables.differences(t, change.differences),
    }


def _map_views(report: MonthReport, t: Texts, folder: Path) -> list[dict[str, str]]:
    views = []
    for day_group, period in maps.map_periods(report):
        mine = {"day_group": day_group, "period": period}
        picture = (folder / maps.map_name(day_group, period)).read_bytes()
        words = {
            "days": t(f"day_groups.{day_group}"),
            "period": t(f"inside.{period}"),
        }
        views.append(
            {
                "source": "data:image/png;base64," + base64.b64encode(picture).decode(),
                "alt": t("maps.alt", **words),
                "caption": t(
                    "maps.caption",
                    **words,
                    hours=t(f"hours.{period}"),
                    shown=number(report.tables["cells"].filter(**mine).drop_nulls("tti").height),
                    withheld=number(report.withheld.filter(**mine).height),
                ),
            }
        )
    return views


def _suppression_text(report: MonthReport, t: Texts) -> str:
    return t(
        "coverage.suppression_text",
        min_vehicles=report.about["min_vehicles"],
        min_providers=report.about["min_providers"],
        max_share=percent(report.about["max_vehicle_share"], 0),
    )


def _method(report: MonthReport, t: Texts) -> list[str]:
    bands = {name: percent(report.about[name], 0) for name in ("band_city", "band_place")}
    return [
        t("method.speed"),
        t("method.comparison"),
        t("method.verdicts", **bands),
        t("method.corridor"),
        t("method.rounding"),
    ]


def _glossary(report: MonthReport, t: Texts) -> list[str]:
    names = ("tti", "pti", "buffer_index", "lottr", "congestion_index", "free_flow", "interval")
    edge_m, resolution = report.about["cell_edge_m"], report.about["resolution"]
    lines = [t(f"glossary.{name}") for name in names]
    if edge_m is not None:
        lines.append(t("glossary.cell", resolution=resolution, edge=edge_m))
    return lines


@cache
def _font_face() -> Markup:
    font = resources.files("clearway_serving").joinpath(_FONT).read_bytes()
    data = base64.b64encode(font).decode()
    return Markup(  # noqa: S704 -- our own file
        '@font-face { font-family: "Clearway Inter"; font-weight: 100 900; '
        f'src: url("data:font/woff2;base64,{data}") format("woff2"); }}'
    )


def _css_text(text: str) -> str:
    """Return a text for a CSS string in a style element, where < and quotes must not end it."""
    return "".join(
        each if each.isalnum() or each in " ·,.()-" else f"\\{ord(each):06x}" for each in text
    )
