"""The card of a forecast model in words: what it learned from and how good it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from clearway_models.forecast.features import BASELINES
from clearway_models.forecast.model import MODEL

_LIMITS = (
    "It expects what usually follows; it knows of no accident, rain or event before speeds fall.",
    (
        "Intervals hold on average over cells of one quality class, in and outside peaks, not for "
        "each cell alone; on a day unlike the last two weeks they may hold less."
    ),
    "A horizon at which a plain forecast was better is not published.",
)


def card_text(card: Mapping[str, object]) -> str:
    """Return the card as Markdown."""
    history = cast("Mapping[str, object]", card["history"])
    about = (
        f"Speed of H3 cells at resolution {card['resolution']}, windows of "
        f"{card['window_minutes']} minutes: three boosted-tree quantiles of log pace per horizon, "
        "one model for all cells, intervals conformalised on the newest part of the history."
    )
    data = (
        f"- {history['first']} to {history['end']}, {history['n_days']} days, "
        f"{history['n_cells']} cells, {history['n_windows']} observed cell-windows"
    )
    test = (
        f"Trained on what came before {card['tested_from']} and tested on what came after; nothing "
        "shuffled. Mean absolute and root mean square error in km/h."
    )
    lines = [
        *(f"# Forecast {card['model_id']}", "", about, "", "## Data", "", data),
        f"- Learned from what came before {card['learned_until']}; the rest calibrates",
        *("", "## Test", "", test, ""),
        "| minutes | method | MAE | RMSE |",
        "|---|---|---|---|",
    ]
    held = []
    for score in cast("Sequence[Mapping[str, object]]", card["scores"]):
        mae = cast("Mapping[str, float]", score["mae_kmh"])
        rmse = cast("Mapping[str, float]", score["rmse_kmh"])
        for name in (MODEL, *BASELINES):
            shown = f"**{name}**" if name == MODEL else name
            lines.append(
                f"| {score['horizon_minutes']} | {shown} | {mae[name]:.2f} | {rmse[name]:.2f} |"
            )
        held.append(
            f"- {score['horizon_minutes']} minutes: {score['n']:,} forecasts; 90 % intervals held "
            f"{100 * cast('float', score['coverage']):.1f} % "
            f"({100 * cast('float', score['raw_coverage']):.1f} % before conformalising), mean "
            f"width {score['width_kmh']:.1f} km/h; skill against the historical average "
            f"{score['skill']:.2f}"
        )
    lines += ["", *held, ""]
    refused = cast("Sequence[str]", card["not_published"])
    lines += [*(f"Not published: {reason}" for reason in refused), "## Limits", ""]
    lines += [f"- {text}" for text in _LIMITS]
    versions = cast("Mapping[str, str]", card["versions"])
    lines += ["", "Made with " + ", ".join(f"{k} {v}" for k, v in versions.items()), ""]
    return "\n".join(lines)
