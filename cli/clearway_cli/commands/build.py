"""`clearway build`: derived tables from what ingest has stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clearway_cli.options import (
    DEFAULT_DATA_DIR,
    BuiltResolutionOption,
    CityOption,
    DataDirOption,
    FromOption,
    JsonOption,
    LakeOption,
    ResolutionOption,
    ToOption,
    Window,
    WindowOption,
)
from clearway_cli.output import bar, say_json
from clearway_core.errors import InsufficientData
from clearway_core.progress import Progress

if TYPE_CHECKING:
    from clearway_models.jobs import EmissionAccount
    from clearway_transforms.jobs import AirAccount, CongestionAccount

    Account = CongestionAccount | AirAccount | EmissionAccount

CalibrationOption = Annotated[
    str | None,
    typer.Option(
        "--calibration",
        metavar="NAME",
        help="A shipped calibration such as barkjohn_2021_us, one from `build calibration`, or "
        "none; left out, the default of each sensor model. The name stands beside every value.",
    ),
]
CollocationArgument = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="CSV or Parquet, one row per sensor and hour: hour_start, site, sensor, "
        "pm2_5_cf1_ugm3, humidity_pct, temperature_c, reference_ugm3.",
    ),
]
SensorModelOption = Annotated[
    str,
    typer.Option("--sensor-model", metavar="MODEL", help="As in the readings, such as pms5003."),
]
EmissionWindowOption = Annotated[
    Window | None,
    typer.Option(
        "--window", metavar="15m|1h|1d", help="Window length; left out, the longest built up to 1h."
    ),
]
ForecastWindowOption = Annotated[
    Window,
    typer.Option("--window", metavar="15m|1h", help="Window length; 1h forecasts 60 minutes only."),
]


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    group = typer.Typer(no_args_is_help=True, help="Build derived tables from stored records.")
    for command in (congestion, air, calibration, emissions, forecast):
        group.command()(command)
    group.command("all")(everything)
    app.add_typer(group, name="build")


def congestion(
    *,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    resolution: ResolutionOption = 9,
    window: WindowOption = Window.QUARTER,
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
    from clearway_cli.texts.builds import say_congestion
    from clearway_core.lake import open_lake
    from clearway_transforms.jobs import build_congestion

    opened, pack = open_lake(data_dir, lake), find_city(city, data_dir)
    with bar("Congestion", quiet=as_json) as progress:
        account = build_congestion(
            opened,
            resolution=resolution,
            window_minutes=window.minutes,
            city=pack,
            time_from=time_from,
            time_to=time_to,
            progress=progress,
        )
    if as_json:
        say_json(asdict(account))
    else:
        say_congestion(account)


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
    from clearway_cli.texts.builds import say_air
    from clearway_core.data_dir import DataDir
    from clearway_core.lake import open_lake
    from clearway_transforms.jobs import build_air

    opened, pack = open_lake(data_dir, lake), find_city(city, data_dir)
    with bar("Air", quiet=as_json) as progress:
        account = build_air(
            opened,
            city=pack,
            calibration=calibration,
            trained=DataDir(data_dir).models / "calibration",
            time_from=time_from,
            time_to=time_to,
            progress=progress,
        )
    if as_json:
        say_json(asdict(account))
    else:
        say_air(account)


def calibration(
    file: CollocationArgument,
    *,
    sensor_model: SensorModelOption,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Train a PM2.5 calibration from sensors that stood beside a reference instrument.

    Use it with `clearway build air --calibration ID`. It is a candidate until it rests on enough
    days and meets every target; the card beside it says how good it is.
    """
    from clearway_cli.texts.builds import say_calibration
    from clearway_models.jobs.calibration import train_calibration

    with bar("Calibration", quiet=as_json) as progress:
        account = train_calibration(
            file, data_dir=data_dir, sensor_model=sensor_model, progress=progress
        )
    if as_json:
        say_json(asdict(account))
    else:
        say_calibration(account)


def emissions(
    *,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    resolution: BuiltResolutionOption = None,
    window: EmissionWindowOption = None,
    city: CityOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build traffic emissions per cell and window, from the speeds of `build congestion`."""
    from clearway_cli.cities import find_city
    from clearway_cli.texts.builds import say_emissions
    from clearway_core.lake import open_lake
    from clearway_models.jobs import build_emissions

    opened, pack = open_lake(data_dir, lake), find_city(city, data_dir)
    with bar("Emissions", quiet=as_json) as progress:
        account = build_emissions(
            opened,
            resolution=resolution,
            window_minutes=None if window is None else window.minutes,
            city=pack,
            progress=progress,
        )
    if as_json:
        say_json(asdict(account))
    else:
        say_emissions(account)


def forecast(
    *,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    resolution: ResolutionOption = 9,
    window: ForecastWindowOption = Window.QUARTER,
    city: CityOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forecast speeds 15, 30 and 60 minutes ahead, from the speeds of `build congestion`.

    A model is trained and tested first where there is none or it is a week old. A horizon at which
    a plain forecast was as good is not published.
    """
    from clearway_cli.cities import find_city
    from clearway_cli.texts.builds import say_forecast
    from clearway_core.lake import open_lake
    from clearway_models.jobs.forecast import build_forecast

    opened, pack = open_lake(data_dir, lake), find_city(city, data_dir)
    with bar("Forecast", quiet=as_json) as progress:
        account = build_forecast(
            opened,
            data_dir=data_dir,
            resolution=resolution,
            window_minutes=window.minutes,
            city=pack,
            progress=progress,
        )
    if as_json:
        say_json(asdict(account))
    else:
        say_forecast(account)


def everything(
    *,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    resolution: ResolutionOption = 9,
    window: WindowOption = Window.QUARTER,
    city: CityOption = None,
    time_from: FromOption = None,
    time_to: ToOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build congestion, then air, then emissions; what has no input is skipped, and said.

    Emissions are always built for all days that hold speeds.
    """
    from clearway_cli.cities import find_city
    from clearway_cli.texts.builds import say_all
    from clearway_core.lake import open_lake
    from clearway_models.jobs import build_emissions
    from clearway_transforms.jobs import build_air, build_congestion

    opened, pack = open_lake(data_dir, lake), find_city(city, data_dir)
    minutes = window.minutes
    built, skipped = _build(
        {
            "congestion": lambda progress: build_congestion(
                opened,
                resolution=resolution,
                window_minutes=minutes,
                city=pack,
                time_from=time_from,
                time_to=time_to,
                progress=progress,
            ),
            "air": lambda progress: build_air(
                opened, city=pack, time_from=time_from, time_to=time_to, progress=progress
            ),
            "emissions": lambda progress: build_emissions(
                opened,
                resolution=resolution,
                window_minutes=minutes,
                city=pack,
                progress=progress,
            ),
        },
        quiet=as_json,
    )
    if as_json:
        say_json({"built": {n: asdict(a) for n, a in built.items()}, "skipped": skipped})
    else:
        say_all(built, skipped)


def _build(
    jobs: Mapping[str, Callable[[Progress], Account]], *, quiet: bool
) -> tuple[dict[str, Account], dict[str, str]]:
    """Run jobs in their order; return the accounts of what was built, and why others were not."""
    built: dict[str, Account] = {}
    skipped: dict[str, str] = {}
    for name, job in jobs.items():
        try:
            with bar(name.capitalize(), quiet=quiet) as progress:
                built[name] = job(progress)
        except InsufficientData as error:
            skipped[name] = str(error)
    if not built:
        reasons = "\n".join(f"{name}: {reason}" for name, reason in skipped.items())
        message = f"there is nothing to build from\n{reasons}"
        raise InsufficientData(message)
    return built, skipped
