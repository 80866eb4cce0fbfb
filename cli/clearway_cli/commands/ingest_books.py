"""`clearway ingest books`: whether anything is missing, and what a person does about it."""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from clearway_cli.options import (
    DEFAULT_DATA_DIR,
    CityOption,
    DataDirOption,
    JsonOption,
    LakeOption,
    LogOption,
    MonthOption,
    instant,
)
from clearway_cli.output import say_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from clearway_core.stream.log import Log


GatewayArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the device.")]
ReasonOption = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why, for the monthly statement.")
]
ByOption = Annotated[
    str, typer.Option("--by", metavar="NAME", help="Name of the person who decides it.")
]
BootOption = Annotated[
    int | None,
    typer.Option("--boot", metavar="N", help="Only readings of this start of its agent."),
]
HourOption = Annotated[
    str | None,
    typer.Option("--hour", metavar="HOUR", help="Only this hour, UTC, such as 2026-01-15T07."),
]
AsOfOption = Annotated[
    datetime | None,
    typer.Option(
        "--as-of",
        metavar="INSTANT",
        parser=instant,
        help="As the books stood at this instant; left out, now.",
    ),
]


def register(group: typer.Typer) -> None:
    """Add the commands to those of `clearway ingest`."""
    inner = typer.Typer(
        invoke_without_command=True,
        help="Close the gateways' books: everything that they read is accounted for, or an alarm.",
    )
    inner.callback()(books)
    inner.command("write-off")(write_off)
    inner.command("statement")(statement)
    group.add_typer(inner, name="books")


def books(
    context: typer.Context,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    log: LogOption = None,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Close the gateways' books against what the lake holds; a difference ends with 1.

    Each page is a gateway, a kind of reading and an hour: read = stored + quarantined + on the way
    + spooled + dropped + missing. A repeat changes nothing.
    """
    if context.invoked_subcommand is not None:
        return
    from clearway_cli.texts.books import say_books
    from clearway_core.lake import open_lake
    from clearway_ingest.books.closing import close_books

    with _log(log, data_dir) as source:
        account = close_books(open_lake(data_dir, lake), source)
    if as_json:
        say_json({**asdict(account), "closed": account.is_closed()})
    else:
        say_books(account)
    if not account.is_closed():
        raise typer.Exit(1)


def write_off(
    gateway: GatewayArgument,
    *,
    reason: ReasonOption,
    by: ByOption,
    boot: BootOption = None,
    hour: HourOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    log: LogOption = None,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write off what is missing or waits on a gateway now: its card is lost, the device swapped.

    The decision is kept with name and reason and stands in the monthly statement. What arrives
    after all is shown as such. The last hour of a gateway that has been silent for an hour is
    declared over.
    """
    from clearway_cli.texts.books import say_write_off
    from clearway_core.lake import open_lake
    from clearway_ingest.books import write_offs

    hour_start = None if hour is None else _hour(hour)
    with _log(log, data_dir) as source:
        done = write_offs.write_off(
            open_lake(data_dir, lake),
            source,
            gateway,
            decided_by=by,
            reason=reason,
            boot=boot,
            hour_start=hour_start,
        )
    if as_json:
        say_json(
            {
                "write_off_id": done.write_off_id,
                "n_records": done.n_records,
                "pages": done.pages,
                "closed": done.books.is_closed(),
            }
        )
    else:
        say_write_off(done)


def statement(
    *,
    month: MonthOption,
    as_of: AsOfOption = None,
    city: CityOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print what every gateway read in a month, and where all of it is.

    Hours are those of the city pack's time zone, UTC without one. Asked again with the instant
    that it names, it prints the same.
    """
    from clearway_cli.cities import find_city
    from clearway_cli.texts.books import say_statement
    from clearway_core.lake import open_lake
    from clearway_ingest.books.month import statement as month_statement

    found = find_city(city, data_dir)
    made = month_statement(
        open_lake(data_dir, lake),
        month,
        time_zone=UTC if found is None else found.time_zone,
        as_of=as_of,
    )
    if as_json:
        say_json({**asdict(made), "total": made.total()})
    else:
        say_statement(made)


@contextmanager
def _log(address: str | None, data_dir: Path) -> Iterator[Log | None]:
    """Open the log; one that is away only leaves open what may be on its way."""
    from clearway_core.errors import SourceUnavailable
    from clearway_core.stream.address import open_log

    try:
        source = open_log(address, data_dir)
    except SourceUnavailable:
        yield None
        return
    with closing(source):
        yield source


def _hour(text: str) -> datetime:
    from clearway_core.errors import UsageError

    for form in ("%Y-%m-%dT%H", "%Y-%m-%dT%H:00", "%Y-%m-%dT%H:00Z", "%Y-%m-%dT%H:00:00Z"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    message = f"expected an hour in UTC such as 2026-01-15T07, got {text!r}"
    raise UsageError(message)
