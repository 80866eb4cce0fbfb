"""`clearway`: run the command line and turn what went wrong into one text and an exit code."""

from __future__ import annotations

import sys

from clearway_core.errors import ClearwayError


def main() -> None:
    """Run the command line and exit with 0 (done), 1 (the work failed) or 2 (wrong use)."""
    try:
        from clearway_cli.app import command_line
        from clearway_cli.output import say_error
    except ModuleNotFoundError as error:
        sys.stderr.write(
            f"error: the `clearway` command needs more than a gateway has ({error.name} is "
            "missing). Install 'clearway[pipeline]', or use `clearway-gateway` here.\n"
        )
        sys.exit(1)
    app = command_line()
    try:
        app()
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
