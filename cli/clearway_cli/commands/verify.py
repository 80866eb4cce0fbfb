"""`clearway verify`: compare what Clearway says with what an agency measured itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from clearway_cli.options import (
    DEFAULT_DATA_DIR,
    CityOption,
    DataDirOption,
    JsonOption,
    LakeOption,
)
from clearway_cli.output import say, say_json, say_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clearway_transforms.jobs.verification import Verification

FileArgument = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="CSV of test drives: corridor, direction, started_at, travel_time_min.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Compare with your own measurements.")
    group.command("corridors")(corridors)
    app.add_typer(group, name="verify")


def corridors(
    file: FileArgument,
    *,
    city: CityOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare test drives with the travel times of corridors and say where they disagree.

    Writes nothing. Ends with 0 once compared, whatever the verdict.
    """
    from clearway_cli.cities import find_city
    from clearway_core.lake import open_lake
    from clearway_transforms.jobs.verification import verify_corridors

    found = verify_corridors(open_lake(data_dir, lake), file, find_city(city, data_dir))
    if as_json:
        say_json(
            {
                "first_date": found.first_date,
                "last_date": found.last_date,
                "n_drives": found.n_drives,
                "n_compared": found.n_compared,
                "interval_level": found.interval_level,
                "comparisons": found.rows.to_dicts(),
            }
        )
    else:
        _say(found)


def _say(found: Verification) -> None:
    numbers = ("drives", "drives took", "Clearway says", "difference")
    say_rows(
        None,
        ("corridor", "period", *numbers, "verdict"),
        (
            (
                f"{row['corridor']}, {row['direction']}",
                str(row["period"]).replace("_", " "),
                f"{row['n_compared']} of {row['n_drives']}",
                _minutes(row["drives_min"]),
                _minutes(row["probes_min"]),
                _difference(row),
                _verdict(row),
            )
            for row in found.rows.to_dicts()
        ),
        numbers=numbers,
    )
    say(f"\n{_summary(found)}")


def _minutes(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} min"


def _difference(row: Mapping[str, float | None]) -> str:
    """Return how much longer the probes took, with interval."""
    middle, low, high = (row[name] for name in ("difference", "difference_low", "difference_high"))
    if middle is None:
        return ""
    if low is None or high is None:
        return f"{100 * middle:+.0f} %"
    return f"{100 * middle:+.0f} % ({100 * low:+.0f} to {100 * high:+.0f})"


def _verdict(row: Mapping[str, object]) -> str | Text:
    verdict, reason = str(row["verdict"]), row["reason"]
    if verdict == "disagree":
        return Text(verdict, style="bold red")
    return f"{verdict}: {reason}" if reason else verdict


def _summary(found: Verification) -> str:
    counts = {
        verdict: found.rows.filter(found.rows["verdict"] == verdict).height
        for verdict in ("agree", "disagree", "not enough")
    }
    judged = counts["agree"] + counts["disagree"]
    percent = 100 * found.interval_level
    text = (
        f"{found.n_compared} of {found.n_drives} drives had observed times beside them. "
        f"{counts['agree']} agree, {counts['disagree']} disagree, not enough for "
        f"{counts['not enough']}. Intervals are {percent:.0f} % intervals"
    )
    if judged > 1:
        chance = (1 - found.interval_level) * judged
        return f"{text}: of {judged} comparisons up to {chance:.1f} may disagree by chance."
    return f"{text}."
