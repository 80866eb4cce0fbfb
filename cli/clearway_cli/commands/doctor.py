"""`clearway doctor`: what works, what works with less, what is broken."""

from __future__ import annotations

import typer

from clearway_cli.options import (
    DEFAULT_DATA_DIR,
    CityOption,
    DataDirOption,
    JsonOption,
    LakeOption,
    LogOption,
)

_COLOURS = {"green": "green", "yellow": "yellow", "red": "bold red"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(
    *,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    log: LogOption = None,
    lake: LakeOption = None,
    city: CityOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look at this installation: machine, packages, settings, city, lake, log and gateways.

    Green works, yellow works with less, red is broken. Ends with 1 if anything is red. Nothing is
    changed, and secrets are shown as ***.
    """
    import os

    from clearway_cli.doctor.examine import examine
    from clearway_cli.doctor.finding import Installation, State
    from clearway_cli.output import say, say_json

    findings = examine(
        Installation(
            data_dir=data_dir,
            log_address=log,
            lake_address=lake,
            city_name=city,
            environment=os.environ,
        )
    )
    broken = [finding for finding in findings if finding.state is State.RED]
    if as_json:
        rows = [{"state": f.state, "subject": f.subject, "text": f.text} for f in findings]
        say_json({"ok": not broken, "findings": rows})
    else:
        for finding in findings:
            state = f"{finding.state:<7}", _COLOURS[finding.state]
            say(state, f"{finding.subject:<28}{finding.text}")
    if broken:
        raise typer.Exit(1)
