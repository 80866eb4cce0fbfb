"""`clearway replay`: recorded files through a gateway, as if live."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clearway_cli.options import DEFAULT_DATA_DIR, DataDirOption, JsonOption, LogOption

if TYPE_CHECKING:
    from clearway_edge.jobs import GatewayAccount


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay")(replay)


def replay(
    files: Annotated[list[Path], typer.Argument(help="Recorded files.", show_default=False)],
    profile: Annotated[
        str,
        typer.Option(
            "--profile", help="Source profile: a TOML file or a shipped name, such as sumo."
        ),
    ],
    speed: Annotated[
        str,
        typer.Option(
            "--speed", metavar="max|N", help="As fast as possible, or N times as it happened."
        ),
    ] = "max",
    gateway: Annotated[
        str, typer.Option("--gateway", help="Name under which the records travel.")
    ] = "replay",
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    log: LogOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send recorded files through a gateway: checked, masked, spooled, delivered.

    Says how many records were read, delivered, spooled (they wait in the outbox) and dropped, by
    reason. Replaying the same file again adds nothing to the lake.
    """
    from clearway_cli.output import bar, say_error, say_json
    from clearway_edge import jobs

    with bar("Replaying", quiet=as_json) as progress:
        account = jobs.replay(
            files,
            profile,
            data_dir=data_dir,
            log_address=log,
            gateway=gateway,
            speed=jobs.speed_of(speed),
            progress=progress,
        )
    if as_json:
        say_json({**asdict(account), "complete": account.complete})
    else:
        _say(account)
    if not account.complete:
        for file, reason in account.unfinished.items():
            say_error(f"{file}: {reason or 'was not read to its end'}")
        if account.spooled:
            say_error(
                f"{account.spooled:,} records wait in the outbox of gateway {gateway!r}, because "
                "the log did not take them: bring the log back and replay again, nothing doubles"
            )
        raise typer.Exit(1)


def _say(account: GatewayAccount) -> None:
    from clearway_cli.output import console, say_table

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
        console.print("First records that could not be used:", style="dim")
        for fault in account.faults:
            console.print(f"  {fault}", style="dim", markup=False, highlight=False)
