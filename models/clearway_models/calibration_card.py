"""The card of a calibration in words: what it was trained on and how far it may be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

_LIMITS = (
    (
        "It holds for this sensor model, for places and seasons like those of the collocation, and "
        "inside the domain below. Outside, the linear record is used and its sd doubled."
    ),
    "Humidity above 95 % is not calibrated: the sensor then sees fog.",
    "It was not tested against other sites unless the table shows a transfer score.",
    "Two sensors of one model drift apart with age; train again at least once a year.",
)


def card_text(card: Mapping[str, object]) -> str:
    """Return the card as Markdown."""
    lines = [
        f"# Calibration {card['calibration_id']}",
        "",
        f"PM2.5 of {card['sensor_model']} in µg/m³. Status: **{card['status']}**.",
        f"Chosen model: `{card['chosen']}`; linear record: `{card['model']}`.",
        "",
        "## Data",
        "",
        f"- {card['n_hours']} hours ({card['n_hours_left_out']} left out as incomplete, above 95 % "
        f"humidity or out of range), {card['n_days']} days, "
        + " to ".join(cast("Sequence[str]", card["period"])),
        f"- Sensors: {', '.join(cast('Sequence[str]', card['sensors']))}",
        f"- Sites: {', '.join(cast('Sequence[str]', card['sites']))}",
        f"- SHA-256 of the collocation: `{card['collocation_sha256']}`",
        "",
        "## Validation",
        "",
        f"{card['validation']}. Scores are of predictions for weeks that the model has not seen.",
        "",
        "| model | averaging | n | slope | intercept µg/m³ | R² | RMSE µg/m³ | NRMSE % |",
        "|---|---|---|---|---|---|---|---|",
        _row("raw", "24 h", card["raw_daily"]),
    ]
    for candidate in cast("Sequence[Mapping[str, object]]", card["candidates"]):
        name = str(candidate["name"])
        lines += [_row(name, "24 h", candidate["daily"]), _row(name, "1 h", candidate["hourly"])]
        if candidate["transfer"] is not None:
            lines.append(_row(name, "1 h, other site", candidate["transfer"]))
    met = "meets" if card["meets_targets"] else "does **not** meet"
    lines += ["", f"The chosen model {met} all EPA 2021 targets on daily means.", ""]
    lines += ["## Linear record", "", f"intercept {card['intercept']:.6g} µg/m³"]
    slopes = cast("Mapping[str, float]", card["coefficients"])
    domain = cast("Mapping[str, Sequence[float]]", card["domain"])
    lines += [
        f"- {name}: {value:.6g} (domain {domain[name][0]:.4g} to {domain[name][1]:.4g})"
        for name, value in slopes.items()
    ]
    lines += [f"- residual sd: {card['residual_sd']:.3g} µg/m³", "", "## Limits", ""]
    lines += [f"- {text}" for text in _LIMITS]
    versions = cast("Mapping[str, str]", card["versions"])
    lines += ["", "Made with " + ", ".join(f"{k} {v}" for k, v in versions.items()), ""]
    return "\n".join(lines)


def _row(name: str, averaging: str, score: object) -> str:
    s = cast("Mapping[str, float]", score)
    return (
        f"| {name} | {averaging} | {s['n']} | {s['slope']:.3f} | {s['intercept_ugm3']:.2f} | "
        f"{s['r2']:.3f} | {s['rmse_ugm3']:.2f} | {s['nrmse_pct']:.1f} |"
    )
