"""`clearway demo`: the whole chain on one machine, then the map."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Annotated

import typer

from clearway_cli.options import DEFAULT_DATA_DIR, JsonOption, LogOption, PortOption
from clearway_cli.output import bar, say, say_json
from clearway_core.errors import UsageError
from clearway_core.progress import Progress

DemoDirOption = Annotated[
    Path,
    typer.Option(
        "--data-dir",
        metavar="FOLDER",
        help="Folder of the demo; emptied when the demo runs again.",
    ),
]
EmbeddedOption = Annotated[
    bool,
    typer.Option(
        "--embedded", metavar="", help="Take the embedded log; do not try to start Kafka."
    ),
]
ServeOption = Annotated[
    bool, typer.Option("--serve/--no-serve", metavar="", help="Keep the map open at the end.")
]
AgainOption = Annotated[
    bool,
    typer.Option("--again", metavar="", help="Only show what the last demo left; run nothing."),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    *,
    data_dir: DemoDirOption = DEFAULT_DATA_DIR / "demo",
    log: LogOption = None,
    embedded: EmbeddedOption = False,
    serve: ServeOption = True,
    again: AgainOption = False,
    port: PortOption = 8501,
    as_json: JsonOption = False,
) -> None:
    """Watch a small simulated city flow from its taxis to a price proposal, then see its map.

    Everything is made up and says so. Kafka is started if this machine can (Java 17 and Maven),
    or else one SQLite file takes its place. Nothing leaves the machine.
    """
    from clearway_cli.demo.chain import is_demo_folder

    if as_json and serve:
        message = "--json prints one document and ends: add --no-serve"
        raise UsageError(message)
    if again and not is_demo_folder(data_dir):
        message = f"{data_dir} holds no demo yet: leave --again out"
        raise UsageError(message)
    good = again or _run(data_dir, log, embedded=embedded, as_json=as_json)
    if not as_json:
        _say_next(data_dir)
    if serve:
        _serve(data_dir, port)
    if not good:
        raise typer.Exit(1)


def _run(data_dir: Path, log: str | None, *, embedded: bool, as_json: bool) -> bool:
    """Run the chain, say what it found, and return whether all of it passed."""
    from clearway_cli.demo.chain import run_demo
    from clearway_cli.demo.findings import find
    from clearway_cli.demo.lines import lines
    from clearway_core.lake import open_lake

    def stage(title: str) -> AbstractContextManager[Progress]:
        return _percent_bar(title, quiet=as_json)

    def tell(text: str) -> None:
        if not as_json:
            say(text)

    run = run_demo(data_dir, log=log, embedded=embedded, stage=stage, say=tell)
    findings = find(open_lake(data_dir), run)
    if as_json:
        say_json(findings.as_dict())
    else:
        say()
        for line in lines(findings):
            say(line)
    return findings.books.closed and not findings.failed_checks


@contextmanager
def _percent_bar(title: str, *, quiet: bool) -> Iterator[Progress]:
    """Show a bar that counts per cent where the work is counted in many small units."""
    most_units = 1_000
    with bar(f"{title:<22}", quiet=quiet) as advance:

        def scaled(done: int, total: int | None, note: str) -> None:
            if total is not None and total > most_units:
                done, total = 100 * done // total, 100
            advance(done, total, note)

        yield scaled


def _say_next(data_dir: Path) -> None:
    option = f"--data-dir {data_dir}"
    for text in (
        f"Approve or reject: clearway airflow {option}   (`make airflow` does the same)",
        f"The month's pages: clearway report congestion --month 2026-01 {option}",
        f"The map again:     clearway demo --again {option}",
    ):
        say(text)


def _serve(data_dir: Path, port: int) -> None:
    from clearway_cli.airflow_home import APPROVALS_ADDRESS
    from clearway_cli.cities import find_city
    from clearway_core.lake import open_lake
    from clearway_serving.jobs import Address
    from clearway_serving.jobs import serve as serve_pages

    def ready(address: str) -> None:
        say("Map:               ", (address, "bold"), "   (Ctrl-C ends)")

    # Ctrl-C is how the demo is meant to end, so it is no error.
    with suppress(KeyboardInterrupt):
        serve_pages(
            open_lake(data_dir),
            city=find_city(None, data_dir),
            address=Address(port=_free(port), approval_url=APPROVALS_ADDRESS),
            ready=ready,
        )


def _free(port: int) -> int:
    """Return the port, or 0 (any) if somebody listens there already."""
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return 0
    return port
