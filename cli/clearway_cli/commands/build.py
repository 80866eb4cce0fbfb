"""`clearway build`: derived tables from what ingest has stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from clearway_cli.commands.build_forecast import forecast
from clearway_cli.options import (
    DEFAULT_DATA_DIR,
    CityOption,
    DataDirOption,
    JsonOption,
    LakeOption,
    ResolutionOption,
    WindowOption,
)
from clearway_cli.output import bar, console, say_json, say_table
from clearway_cli.texts.builds import say_air, say_congestion
from clearway_core.errors import InsufficientData, UsageError

WINDOW_MINUTES: Mapping[str, int] = {"15m": 15, "1h": 60, "1d": 1440}

FromOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="INSTANT",
        help="Only days that records from this instant on can touch; ISO 8601, UTC if no offset.",
    ),
]
ToOption = Annotated[
    str | None,
    typer.Option("--to", metavar="INSTANT", help="Only days that records before it can touch."),
]
CalibrationOption = Annotated[
    str | None,
    typer.Option(
        "--calibration",
        metavar="NAME",
        help="A shipped calibration such as barkjohn_2021_us, one from `build calibration`, or "
        "none; left out, the default of each sensor model. The name stands beside every value.",
    ),
]

BuiltResolutionOption = Annotated[
    int | None,
    typer.Option("--resolution", min=7, max=10, help="H3 resolution; left out, 9."),
]
BuiltWindowOption = Annotated[
    str | None,
    typer.Option(
        "--window", metavar="15m|1h|1d", help="Window length; left out, the longest built up to 1h."
    ),
]

Values = dict[str, object]


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    group = typer.Typer(no_args_is_help=True, help="Build derived tables from stored records.")
    group.command("congestion")(congestion)
    group.command("air")(air)
    group.command("calibration")(calibration)
    group.command("emissions")(emissions)
    group.command("forecast")(forecast)
    group.command("all")(everything)
    app.add_typer(group, name="build")


def congestion(
    *,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    resolution: ResolutionOption = 9,
    window: WindowOption = "15m",
    city: CityOption = None,
    time_from: FromOption = None,
    time_to: ToOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build speed, free flow and congestion per cell and window, from GPS fixes.

    Fixes that cannot be right are left out and counted by rule. Only days are built to which fixes
    have come since the last build; with --from or --to those days, whatever was built before.
    """
    from clearway_cli.cities import find_city
    from clearway_core.lake import open_lake
    from clearway_transforms.jobs import build_congestion

    minutes = window_minutes(window)
    with bar("Congestion", quiet=as_json) as progress:
        account = build_congestion(
            open_lake(data_dir, lake),
            resolution=resolution,
            window_minutes=minutes,
            city=find_city(city, data_dir),
            time_from=instant(time_from),
            time_to=instant(time_to),
            progress=progress,
        )
    values = asdict(account)
    if as_json:
        say_json(values)
    else:
        say_congestion(values)


def air(
    *,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    city: CityOption = None,
    calibration: CalibrationOption = None,
    time_from: FromOption = None,
    time_to: ToOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build hourly values per sensor and pollutant, from raw air readings.

    Raw and calibrated values stand side by side; an hour with less than 75 % of readings says so.
    """
    from clearway_cli.cities import find_city
    from clearway_core.data_dir import DataDir
    from clearway_core.lake import open_lake
    from clearway_transforms.jobs import build_air

    with bar("Air", quiet=as_json) as progress:
        account = build_air(
            open_lake(data_dir, lake),
            city=find_city(city, data_dir),
            calibration=calibration,
            trained=DataDir(data_dir).models / "calibration",
            time_from=instant(time_from),
            time_to=instant(time_to),
            progress=progress,
        )
    values = asdict(account)
    if as_json:
        say_json(values)
    else:
        say_air(values)


def calibration(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="CSV or Parquet, one row per sensor and hour: hour_start, site, sensor, "
            "pm2_5_cf1_ugm3, humidity_pct, temperature_c, reference_ugm3.",
        ),
    ],
    *,
    sensor_model: Annotated[
        str,
        typer.Option(
            "--sensor-model", metavar="MODEL", help="As in the readings, such as pms5003."
        ),
    ],
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Train a PM2.5 calibration from sensors that stood beside a reference instrument.

    Use it with `clearway build air --calibration ID`. It is a candidate until it rests on enough
    days and meets every target; the card beside it says how good it is.
    """
    from clearway_models.jobs.calibration import train_calibration

    with bar("Calibration", quiet=as_json) as progress:
        account = train_calibration(
            file, data_dir=data_dir, sensor_model=sensor_model, progress=progress
        )
    values = asdict(account)
    if as_json:
        say_json(values)
        return
    daily = account.scores[account.chosen]
    say_table(
        "Calibration",
        {
            "name": account.calibration_id,
            "status": account.status,
            "model": account.chosen,
            "hours used": account.n_hours,
            "hours left out": account.n_left_out,
            "days": account.n_days,
            "sensors": account.n_sensors,
            "daily RMSE, unseen weeks": f"{daily['rmse_ugm3']:.2f} µg/m³",
            "the same, uncalibrated": f"{account.scores['raw']['rmse_ugm3']:.2f} µg/m³",
            "meets every target": account.meets_targets,
            "card": account.files[-1],
        },
    )


def emissions(
    *,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    resolution: BuiltResolutionOption = None,
    window: BuiltWindowOption = None,
    city: CityOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build traffic emissions per cell and window, from the speeds of `build congestion`."""
    from clearway_cli.cities import find_city
    from clearway_core.lake import open_lake
    from clearway_models.jobs import build_emissions

    minutes = None if window is None else window_minutes(window)
    with bar("Emissions", quiet=as_json) as progress:
        account = build_emissions(
            open_lake(data_dir, lake),
            resolution=resolution,
            window_minutes=minutes,
            city=find_city(city, data_dir),
            progress=progress,
        )
    values = _plain(account)
    if as_json:
        say_json(values)
    else:
        say_table("Emissions", values)


def everything(
    *,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    resolution: ResolutionOption = 9,
    window: WindowOption = "15m",
    city: CityOption = None,
    time_from: FromOption = None,
    time_to: ToOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build congestion, then air, then emissions; what has no input is skipped, and said.

    Emissions are always built for all days that hold speeds.
    """
    from clearway_cli.cities import find_city
    from clearway_core.lake import open_lake
    from clearway_models.jobs import build_emissions
    from clearway_transforms.jobs import build_air, build_congestion

    minutes = window_minutes(window)
    opened, pack = open_lake(data_dir, lake), find_city(city, data_dir)
    begin, end = instant(time_from), instant(time_to)
    built: dict[str, Values] = {}
    skipped: dict[str, str] = {}
    jobs: Mapping[str, Callable[..., object]] = {
        "congestion": partial(
            build_congestion,
            resolution=resolution,
            window_minutes=minutes,
            time_from=begin,
            time_to=end,
        ),
        "air": partial(build_air, time_from=begin, time_to=end),
        "emissions": partial(build_emissions, resolution=resolution, window_minutes=minutes),
    }
    for name, job in jobs.items():
        try:
            with bar(name.capitalize(), quiet=as_json) as progress:
                account = job(opened, city=pack, progress=progress)
        except InsufficientData as error:
            skipped[name] = str(error)
        else:
            built[name] = _plain(account)
    if not built:
        message = "nothing to build from: " + " ".join(skipped.values())
        raise InsufficientData(message)
    _say_all(built, skipped, as_json=as_json)


def window_minutes(window: str) -> int:
    """Return the length of a window option [min].

    Raises
    ------
    UsageError
        If it is none of 15m, 1h and 1d.
    """
    if window not in WINDOW_MINUTES:
        message = f"--window is one of {', '.join(WINDOW_MINUTES)}, got {window!r}"
        raise UsageError(message)
    return WINDOW_MINUTES[window]


def instant(text: str | None) -> datetime | None:
    """Return the instant of an ISO 8601 text, UTC where it names no offset; None of None.

    Raises
    ------
    UsageError
        If the text is no ISO 8601 instant.
    """
    if text is None:
        return None
    try:
        value = datetime.fromisoformat(text)
    except ValueError as error:
        message = f"an instant looks like 2008-05-21 or 2008-05-21T07:00+07:00, got {text!r}"
        raise UsageError(message) from error
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _plain(account: object) -> Values:
    if is_dataclass(account) and not isinstance(account, type):
        return asdict(account)
    if isinstance(account, Mapping):
        return {str(name): value for name, value in account.items()}
    message = f"an account is a dataclass or a mapping, got {type(account).__name__}"
    raise TypeError(message)


def _say_all(built: Mapping[str, Values], skipped: Mapping[str, str], *, as_json: bool) -> None:
    if as_json:
        say_json({"built": built, "skipped": skipped})
        return
    speak = {"congestion": say_congestion, "air": say_air}
    for name, values in built.items():
        if name in speak:
            speak[name](dict(values))
        else:
            say_table(name.capitalize(), values)
    for name, reason in skipped.items():
        console.print(f"{name}: skipped; {reason}", highlight=False, soft_wrap=True)
