"""Whether the report's verdicts can be trusted: halves of real cabs as if they were two months.

    python benchmarks/report_verdicts.py --data FOLDER [--splits N] [--out FILE.json]

FOLDER holds ``gps/sf_cabspotting``: three days, one fix a minute. With three days the shipped
demand of five days answers every question with "cannot tell". So that the figures are about the
intervals, that one demand is also lowered to two days ("intervals_alone").
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from clearway_core.corridor_lines import Corridor
from clearway_transforms.comparison import panel
from clearway_transforms.comparison.panel import Question
from clearway_transforms.comparison.verdict import Verdict
from clearway_transforms.parameters import comparison_parameters

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from doubles.cab_months import DAYS, RESOLUTION, halves, month, vehicle_rows

SHIPPED = comparison_parameters()
LOWERED = replace(SHIPPED, min_days=2)
PLANTED = 1.2
CHANGES = (Verdict.WORSE, Verdict.BETTER)
LINES = {
    "Market Street": [(-122.4337, 37.7625), (-122.3949, 37.7943)],
    "Van Ness Avenue": [(-122.4187, 37.7700), (-122.4250, 37.8040)],
    "Geary": [(-122.4780, 37.7808), (-122.4030, 37.7876)],
    "US 101 to the airport": [(-122.4050, 37.7690), (-122.3990, 37.7130), (-122.3940, 37.6300)],
}
"""Drawn by hand; their cells stand for corridors here, since the pack of this city has none."""

CITY = Question(
    by=(),
    place=("h3_cell", "period"),
    band=SHIPPED.band_city,
    min_places=SHIPPED.min_places,
    min_vehicles=10,
)
QUESTIONS = {
    "city": CITY,
    "period": replace(CITY, by=("period",)),
    "cell": replace(CITY, by=("h3_cell",), band=SHIPPED.band_place, min_places=1),
    "corridor": replace(CITY, by=("corridor",), band=SHIPPED.band_place, min_places=1),
}


def with_corridor(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return the rows of the cells along each line."""
    along = [
        (name, cell)
        for name, line in LINES.items()
        for cell in Corridor(name=name, direction="both", line=tuple(line)).cells(RESOLUTION)
    ]
    names = pl.LazyFrame(along, schema={"corridor": pl.String, "h3_cell": pl.UInt64}, orient="row")
    return rows.join(names, on="h3_cell", how="inner")


def answers(before: pl.LazyFrame, after: pl.LazyFrame, *, lowered: bool) -> dict[str, pl.DataFrame]:
    """Return the answers to every question; of cells and corridors those with ten vehicles."""
    parameters = LOWERED if lowered else SHIPPED
    found = {}
    for name, question in QUESTIONS.items():
        pair = (before, after)
        if name == "corridor":
            pair = (with_corridor(before), with_corridor(after))
        result = panel.month_change(*pair, question, parameters).collect()
        found[name] = result.filter(~pl.col("reasons").list.contains("few_vehicles"))
    return found


def shares(found: list[dict[str, pl.DataFrame]], truth: float) -> dict[str, object]:
    """Return how often which verdict was given, and how often the interval missed the truth."""
    result = {}
    for name in QUESTIONS:
        rows = pl.concat(each[name] for each in found)
        missed = (rows["change_low"] > truth) | (rows["change_high"] < truth)
        counts = Counter(rows["verdict"].to_list())
        result[name] = {
            "answers": rows.height,
            "verdicts": {str(verdict): counts[verdict] for verdict in Verdict},
            "false_changes": sum(counts[each] for each in CHANGES) / max(1, rows.height)
            if truth == 0
            else None,
            "interval_missed_truth": float(missed.mean() or 0.0),
            "spread_of_change": float(rows["change"].std() or 0.0),
        }
    return result


def flips(whole: dict[str, pl.DataFrame], half: dict[str, pl.DataFrame]) -> int:
    """Return how many answers say worse of the whole fleet and better of the half, or back."""
    n = 0
    for name, question in QUESTIONS.items():
        key = list(question.by) or ["all"]
        left, right = (each[name].with_columns(all=pl.lit(1)) for each in (whole, half))
        both = left.join(right, on=key, suffix="_half", validate="1:1")
        told = both.filter(pl.col("verdict").is_in(CHANGES) & pl.col("verdict_half").is_in(CHANGES))
        n += told.filter(pl.col("verdict") != pl.col("verdict_half")).height
    return n


def style_cv(rows: pl.DataFrame) -> dict[str, float]:
    """Return how much of a cab's pace against others in the same places stays from day to day."""
    place = ["local_date", "period", "h3_cell"]
    sums = rows.group_by(place).agg(
        of_place=pl.col("duration_ms").sum() / pl.col("distance_mm").sum()
    )
    expected = pl.col("of_place") * pl.col("distance_mm")
    paces = (
        rows.join(sums, on=place, validate="m:1")
        .group_by("vehicle", "local_date")
        .agg(
            ratio=(pl.col("duration_ms").sum() / expected.sum()).log(),
            hours=expected.sum() / 3_600_000,
        )
        .filter(pl.col("hours") >= 1)
        .pivot(on="local_date", index="vehicle", values="ratio")
        .drop_nulls()
    )
    values = paces.drop("vehicle").to_numpy()
    covariance = np.cov(values.T)
    between = covariance[np.triu_indices(len(covariance), 1)].mean()
    return {"cabs": len(values), "style_cv": float(np.sqrt(max(0.0, between)))}


def measure(rows: pl.DataFrame, splits: int) -> dict[str, object]:
    """Return all figures."""
    result: dict[str, object] = {"splits": splits, "vehicle_style": style_cv(rows)}
    whole = month(rows)
    planted_whole = answers(whole, month(rows, slower=PLANTED), lowered=True)
    by_size = {}
    for share in (0.5, 0.25):
        null, planted, flipped = [], [], 0
        for seed in range(splits):
            first, second = halves(rows, seed, share=share)
            before = month(first)
            null.append(answers(before, month(second), lowered=True))
            planted.append(answers(before, month(second, slower=PLANTED), lowered=True))
            flipped += flips(planted_whole, planted[-1])
        by_size[f"{share:g}_of_the_fleet"] = {
            "nothing_changed": shares(null, 0.0),
            "planted_20_pct": shares(planted, PLANTED - 1),
            "verdicts_flipped_against_whole_fleet": flipped,
        }
    result["intervals_alone"] = by_size
    first, second = halves(rows, 0, share=0.5)
    shipped = answers(month(first), month(second, slower=PLANTED), lowered=False)
    result["shipped_demands_planted_20_pct_one_split"] = shares([shipped], PLANTED - 1)
    result["planted_20_pct_whole_fleet"] = shares([planted_whole], PLANTED - 1)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    started = time.process_time()
    rows = vehicle_rows(options.data)
    result = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "days": DAYS,
        "resolution": RESOLUTION,
        **measure(rows, options.splits),
        "cpu_s": time.process_time() - started,
    }
    text = json.dumps(result, indent=2, default=str)
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
