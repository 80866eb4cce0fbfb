"""`clearway`: run the command line and turn what went wrong into one text and an exit code."""

from __future__ import annotations

import sys

from clearway_core.errors import ClearwayError

_STOPPED = 130
"""What shells report of a program that Ctrl-C ended."""


def main() -> None:
    """Run the command line and exit with 0 (done), 1 (failed), 2 (wrong use) or 130 (Ctrl-C)."""
    try:
        _run()
    except KeyboardInterrupt:  # while modules load; once a command runs, Typer takes it
        sys.exit(_STOPPED)


def _run() -> None:
    try:
        from clearway_cli.app import command_line
        from clearway_cli.output import say_aside, say_error
    except ModuleNotFoundError as error:
        sys.stderr.write(
            f"error: the `clearway` command needs more than a gateway has ({error.name} is "
            "missing). Install 'clearway[pipeline]', or use `clearway-gateway` here.\n"
        )
        sys.exit(1)
    app = command_line()
    try:
        app()
    except SystemExit as ended:
        if ended.code == _STOPPED:
            say_aside("stopped", "what was done stays; the command can be run again")
        raise
    except ClearwayError as error:
        say_error(str(error))
        sys.exit(error.exit_code)
    except OSError as error:
        say_error(_of_the_system(error))
        sys.exit(1)
    except ModuleNotFoundError as error:
        say_error(
            f"{error.name} is not installed here: `clearway doctor` says which part of Clearway "
            "brings it"
        )
        sys.exit(1)


def _of_the_system(error: OSError) -> str:
    """Return what the system refused, and what a person can do about it."""
    if error.filename is None:
        first = str(error).splitlines()[0].rstrip(".:")  # what stores say goes on for pages
        return f"{first}. `clearway doctor` looks at this machine, and at the address of the lake."
    return (
        f"cannot read or write {error.filename}: {error.strerror}. Check the path, the rights on "
        "it and the room on the disk; `clearway doctor` looks at this machine."
    )
