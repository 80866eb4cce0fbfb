"""`clearway-gateway`: the gateway's own command, for machines that have nothing else."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from clearway_core import logging as clearway_logging
from clearway_core.data_dir import DEFAULT
from clearway_core.errors import ClearwayError, UsageError
from clearway_edge.condition.service_manager import manager_socket
from clearway_edge.plain_words import check_words, status_words

Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit with 0 (done), 1 (the work failed) or 2 (wrong use)."""
    options = _parser().parse_args(arguments)
    command: Command = options.command
    try:
        code = command(options)
    except ClearwayError as error:
        sys.stderr.write(f"error: {error}\n")
        code = error.exit_code
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="clearway-gateway",
        description="Reads sensors and fleets, masks vehicles, loses nothing.",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for add in (_add_init, _add_check, _add_enrol, _add_run, _add_status, _add_replay):
        add(commands)
    return parser


def _add_init(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(commands, "init", "write sample settings for a new gateway", _init)
    parser.add_argument("settings", type=Path, help="file to write")
    parser.add_argument("--name", default="gw-1", help="the gateway's name")
    parser.add_argument("--site", help="the place that it serves")
    parser.add_argument("--time-zone", default="Asia/Bangkok", help="IANA time zone of the city")
    parser.add_argument(
        "--source", action="append", metavar="KIND", help="kind of a sensor; once for each of them"
    )
    parser.add_argument("--lon", type=float, help="longitude of the site [°]")
    parser.add_argument("--lat", type=float, help="latitude of the site [°]")


def _add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(commands, "check", "check settings without opening anything", _check)
    parser.add_argument("--settings", type=Path, required=True, help="the gateway's settings")


def _add_enrol(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "make the gateway's key and a request to sign it, or install the certificate"
    parser = _command(commands, "enrol", text, _enrol)
    parser.add_argument("--settings", type=Path, required=True, help="the gateway's settings")
    parser.add_argument("--certificate", type=Path, help="what the CA has signed; installs it")


def _add_run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(commands, "run", "run the gateway until it is stopped", _run)
    parser.add_argument("--settings", type=Path, required=True, help="the gateway's settings")
    _add_log(parser)


def _add_status(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(commands, "status", "show the books of the gateways here", _status)
    _add_data_dir(parser)


def _add_replay(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(commands, "replay", "send recorded files, as if live", _replay)
    parser.add_argument("files", type=Path, nargs="+", help="recorded files")
    parser.add_argument("--profile", required=True, help="source profile: a file or a shipped name")
    parser.add_argument("--speed", default="max", help="max, or N times as it happened")
    parser.add_argument("--gateway", default="replay", help="name under which records travel")
    _add_data_dir(parser)
    _add_log(parser)


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
    command: Command,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.set_defaults(command=command)
    parser.add_argument("--json", action="store_true", help="answer with JSON for machines")
    return parser


def _add_data_dir(parser: argparse.ArgumentParser) -> None:
    default = Path(os.environ.get("CLEARWAY_DATA_DIR", str(DEFAULT)))
    parser.add_argument("--data-dir", type=Path, default=default, help="folder of outbox and log")


def _add_log(parser: argparse.ArgumentParser) -> None:
    default = os.environ.get("CLEARWAY_LOG") or None
    parser.add_argument("--log", default=default, help="kafka://host:port; else the embedded log")


def _init(options: argparse.Namespace) -> int:
    from clearway_edge import jobs  # noqa: PLC0415 -- `--help` stays quick on a small machine
    from clearway_edge.settings.sample_settings import position_of  # noqa: PLC0415

    file = jobs.init(
        options.settings,
        name=options.name,
        time_zone=options.time_zone,
        sources=options.source or jobs.DEFAULT_SOURCES,
        site=options.site,
        position_deg=position_of(options.lon, options.lat),
    )
    return _say(options, {"settings": str(file)})


def _check(options: argparse.Namespace) -> int:
    from clearway_edge import jobs  # noqa: PLC0415

    found = jobs.check(options.settings)
    if options.json:
        return _say(options, found)
    sys.stdout.write("\n".join(check_words(found)) + "\n")
    return 0


def _enrol(options: argparse.Namespace) -> int:
    from clearway_edge import jobs  # noqa: PLC0415

    return _say(options, jobs.enrol(options.settings, certificate=options.certificate))


def _run(options: argparse.Namespace) -> int:
    from clearway_edge import jobs  # noqa: PLC0415

    clearway_logging.configure(logging.INFO)
    # The client logs every attempt to reach a broker that is down; the forwarder says it once.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    manager = manager_socket(os.environ, os.getpid())
    jobs.run(options.settings, log_address=options.log, manager=manager)
    return 0


def _status(options: argparse.Namespace) -> int:
    from clearway_edge import jobs  # noqa: PLC0415

    found = jobs.status(options.data_dir)
    if not found:
        message = f"no gateway has run in {options.data_dir}: check --data-dir"
        raise UsageError(message)
    if options.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return 1 if any("error" in each for each in found) else 0
    for each in found:
        sys.stdout.write("\n".join(status_words(each)) + "\n")
    return 1 if any("error" in each for each in found) else 0


def _replay(options: argparse.Namespace) -> int:
    from clearway_edge import jobs  # noqa: PLC0415
    from clearway_edge.recordings.pacing import speed_of  # noqa: PLC0415

    account = jobs.replay(
        options.files,
        options.profile,
        data_dir=options.data_dir,
        log_address=options.log,
        gateway=options.gateway,
        speed=speed_of(options.speed),
    )
    _say(options, {**asdict(account), "complete": account.complete})
    return 0 if account.complete else 1


def _say(options: argparse.Namespace, values: Mapping[str, object]) -> int:
    if options.json:
        sys.stdout.write(json.dumps(dict(values), indent=2, default=str) + "\n")
        return 0
    for name, value in values.items():
        sys.stdout.write(f"{name:<22} {value}\n")
    return 0


if __name__ == "__main__":
    main()
