"""`clearway ingest`: from the log to the lake, and what to do with messages that were refused."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from clearway_cli.commands import ingest_books
from clearway_cli.options import DEFAULT_DATA_DIR, DataDirOption, JsonOption, LakeOption, LogOption
from clearway_cli.output import bar, say, say_json, say_table

if TYPE_CHECKING:
    from clearway_ingest.jobs import IngestAccount

ShareOption = Annotated[
    str,
    typer.Option(
        "--share", metavar="K/N", help="Part of the partitions: 1/3 is the first of three."
    ),
]
UntilIdleOption = Annotated[
    bool,
    typer.Option("--until-idle", metavar="", help="End when everything that is there now is read."),
]
SkipLostOption = Annotated[
    bool,
    typer.Option(
        "--skip-lost", metavar="", help="Go on although messages expired before they were read."
    ),
]
KeepDaysOption = Annotated[
    int,
    typer.Option("--keep-days", metavar="DAYS", min=2, help="Days that they live after reception."),
]
CauseOption = Annotated[
    str | None,
    typer.Option(
        "--cause", metavar="CAUSE", help="Only those of this cause, such as newer_contract."
    ),
]
LimitOption = Annotated[
    int, typer.Option("--limit", metavar="N", min=1, help="At most so many, newest first.")
]
PlaceArgument = Annotated[
    str,
    typer.Argument(metavar="PLACE", help="topic/partition/offset, as the list shows it."),
]
PlaceOption = Annotated[
    str | None,
    typer.Option("--place", metavar="PLACE", help="Only this one: topic/partition/offset."),
]


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="From the log to the lake, exactly once.")
    group.command("run")(run)
    group.command("expire")(expire)
    letters = typer.Typer(no_args_is_help=True, help="Messages that could not be decoded.")
    letters.command("list")(list_letters)
    letters.command("show")(show_letter)
    letters.command("replay")(replay_letters)
    group.add_typer(letters, name="dead-letters")
    ingest_books.register(group)
    app.add_typer(group, name="ingest")


def run(
    *,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    log: LogOption = None,
    lake: LakeOption = None,
    share: ShareOption = "1/1",
    until_idle: UntilIdleOption = False,
    skip_lost: SkipLostOption = False,
    as_json: JsonOption = False,
) -> None:
    """Read the log and write the lake until Ctrl-C or SIGTERM, or with --until-idle until its end.

    Exactly once: stopped or killed at any moment, the next run neither loses nor doubles a record.
    Rows that break a rule of their contract go to the table quarantine, messages that cannot be
    decoded to dead_letters; everything is counted.
    """
    import logging
    import sys

    from clearway_cli.ending import stop_on_signals
    from clearway_core import logging as clearway_logging
    from clearway_core.lake import open_lake
    from clearway_core.stream.address import open_log
    from clearway_ingest.consumer import Lost
    from clearway_ingest.jobs import Settings, ingest
    from clearway_ingest.share import parse_share

    part = parse_share(share)
    if not (until_idle or sys.stderr.isatty()):  # a service: nobody watches, somebody reads later
        clearway_logging.configure()
        # The client logs every attempt to reach a broker that is down; ingest says it itself.
        logging.getLogger("kafka").setLevel(logging.CRITICAL)
    with (
        stop_on_signals() as stop,
        closing(open_log(log, data_dir)) as source,
        bar("ingest", quiet=as_json) as progress,
    ):
        account = ingest(
            open_lake(data_dir, lake),
            source,
            share=part,
            until_idle=until_idle,
            progress=progress,
            settings=Settings(lost=Lost.SKIP if skip_lost else Lost.STOP),
            stop=stop,
        )
    if as_json:
        say_json(_as_json(account))
    else:
        _say(account)


def expire(
    *,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    keep_days: KeepDaysOption = 30,
    as_json: JsonOption = False,
) -> None:
    """Delete GPS fixes, and what single vehicles drove, 30 days after they were received.

    Sums per cell, period and corridor stay. Files of deleted rows are removed a day later.
    """
    from clearway_core.lake import open_lake
    from clearway_ingest.retention import expire as delete_expired

    account = delete_expired(open_lake(data_dir, lake), keep_days=keep_days)
    if as_json:
        say_json(asdict(account))
        return
    rows = {name: number for name, number in account.rows.items() if number}
    if rows:
        say_table(f"rows received before {account.before:%Y-%m-%d}", rows)
    else:
        say(f"No row from before {account.before:%Y-%m-%d} was left.")
    say(f"{sum(account.files.values()):,} files of rows deleted or joined earlier removed")


def list_letters(
    *,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    cause: CauseOption = None,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
) -> None:
    """List messages that could not be decoded, newest first."""
    from clearway_core.lake import open_lake
    from clearway_ingest.dead_letters import letters

    rows = letters(open_lake(data_dir, lake), cause=cause, limit=limit)
    found = [{"place": _place(row), **row} for row in rows.iter_rows(named=True)]
    if as_json:
        say_json(found)
        return
    if not found:
        say("No dead letters.")
    for row in found:
        say(
            f"{row['place']}  {row['received_at']:%Y-%m-%d %H:%M:%S}Z  {row['payload_bytes']} B  ",
            (str(row["cause"]), "bold"),
        )
        say(f"    {row['detail']}")


def show_letter(
    place: PlaceArgument,
    *,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show everything that is kept of one dead letter, its payload as hex."""
    from clearway_core.lake import open_lake
    from clearway_ingest.dead_letters import letter

    row = {
        name: value.hex() if isinstance(value, bytes) else value
        for name, value in letter(open_lake(data_dir, lake), place).items()
    }
    if as_json:
        say_json(row)
    else:
        say_table(
            place, {name: "-" if value is None else str(value) for name, value in row.items()}
        )


def replay_letters(
    *,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    log: LogOption = None,
    lake: LakeOption = None,
    cause: CauseOption = None,
    place: PlaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send dead letters through the log once more, for instance after an upgrade.

    Records that have arrived meanwhile are recognised as duplicates. Run `clearway ingest run`
    afterwards.
    """
    from clearway_core.lake import open_lake
    from clearway_core.stream.address import open_log
    from clearway_ingest.dead_letters import replay

    with closing(open_log(log, data_dir)) as source:
        replayed = replay(open_lake(data_dir, lake), source, cause=cause, place=place)
    if as_json:
        say_json({"sent": replayed.sent, "gone": replayed.gone})
        return
    say_table("dead letters", {"sent again": replayed.sent, "gone from the log": replayed.gone})


def _place(row: dict[str, object]) -> str:
    return f"{row['topic']}/{row['log_partition']}/{row['log_offset']}"


def _as_json(account: IngestAccount) -> dict[str, object]:
    return {
        "messages": account.messages,
        "read": account.read,
        "stored": dict(account.stored),
        "quarantined": dict(account.quarantined),
        "dead_letters": dict(account.dead_letters),
        "duplicates": account.duplicates,
        "lost_messages": account.lost,
        "receipts_not_sent": account.receipts_not_sent,
        "closed": account.is_closed(),
    }


def _say(account: IngestAccount) -> None:
    if not account.messages:
        say("The log holds no message that was not read before.")
        return
    say_table(f"{account.messages:,} messages", {"records read": account.read})
    say_table("stored", dict(account.stored) or {"nothing new": 0})
    if account.quarantined:
        say_table("quarantined, by first broken rule", dict(account.quarantined))
    if account.dead_letters:
        say_table("dead letters, by cause", dict(account.dead_letters))
    stored, quarantined = sum(account.stored.values()), sum(account.quarantined.values())
    sign = "=" if account.is_closed() else "≠"
    say(
        f"read {account.read:,} {sign} stored {stored:,} + quarantined {quarantined:,} "
        f"+ duplicates {account.duplicates:,}"
    )
    if account.lost:
        say(("lost", "bold red"), f": {account.lost:,} messages expired before they were read")
