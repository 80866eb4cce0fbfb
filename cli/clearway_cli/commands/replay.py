"""`clearway replay`: recorded files through a gateway, as if live."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clearway_cli.options import DEFAULT_DATA_DIR, DataDirOption, JsonOption, LogOption
from clearway_cli.output import bar, say, say_aside, say_error, say_json, say_table

if TYPE_CHECKING:
    from clearway_edge.recordings.account import GatewayAccount


FilesArgument = Annotated[
    list[Path], typer.Argument(metavar="FILE...", help="Recorded files.", show_default=False)
]
ProfileOption = Annotated[
    str,
    typer.Option(
        "--profile",
        metavar="PROFILE",
        help="Source profile: a TOML file or a shipped name, such as sumo.",
    ),
]
SpeedOption = Annotated[
    str,
    typer.Option(
        "--speed", metavar="max|N", help="As fast as possible, or N times as it happened."
    ),
]
GatewayOption = Annotated[
    str,
    typer.Option("--gateway", metavar="NAME", help="Name under which the records travel."),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay")(replay)


def replay(
    files: FilesArgument,
    *,
    profile: ProfileOption,
    speed: SpeedOption = "max",
    gateway: GatewayOption = "replay",
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    log: LogOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send recorded files through a gateway: checked, masked, spooled, delivered.

    Says how many records were read, delivered, spooled (they wait in the outbox) and dropped, by
    reason. Replaying the same file again adds nothing to the lake.
    """
    from clearway_edge import jobs
    from clearway_edge.recordings.pacing import speed_of

    with bar("Replaying", quiet=as_json) as progress:
        account = jobs.replay(
            files,
            profile,
            data_dir=data_dir,
            log_address=log,
            gateway=gateway,
            speed=speed_of(speed),
            progress=progress,
        )
    if as_json:
        say_json({**asdict(account), "complete": account.complete})
    else:
        _say(account)
    _complain(account, gateway)
    if not account.complete:
        raise typer.Exit(1)


def _complain(account: GatewayAccount, gateway: str) -> None:
    """Say which files were not read to their end, what waits, and that nothing was read."""
    for file, reason in account.unfinished.items():
        say_error(f"{file}: {reason or 'was not read to its end'}")
    if account.spooled:
        say_error(
            f"{account.spooled:,} records wait in the outbox of gateway {gateway!r}, because "
            "the log did not take them: bring the log back and replay again, nothing doubles"
        )
    if account.complete and not account.read:
        say_aside("note", "no record was read: are these the files that the profile is for?")


def _say(account: GatewayAccount) -> None:
    rows: dict[str, object] = {
        "read": account.read,
        "delivered": account.delivered,
        "spooled": account.spooled,
        "dropped": sum(account.dropped.values()),
    }
    rows.update({f"  dropped: {reason}": n for reason, n in account.dropped.items()})
    rows.update({f"  set to null: {why}": n for why, n in account.nulled.items()})
    rows.update({f"  flagged: {flag}": n for flag, n in account.flagged.items()})
    say_table("Records", rows)
    if account.faults:
        say(("First records that could not be used:", "dim"))
        for fault in account.faults:
            say((f"  {fault}", "dim"))
