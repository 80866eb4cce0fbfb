"""Write the list of all commands and options: ``python -m clearway_cli.reference``.

Takes one argument, the file; left out, ``docs/commands.md`` below the current folder.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from typer.main import get_command

from clearway_cli.app import COMMANDS, command_line

DEFAULT_FILE = Path("docs") / "commands.md"

SHARED = ("--data-dir", "--log", "--lake", "--city", "--json")
"""Options of many commands, explained once."""

_OPENING = """\
# All commands

Written from the commands themselves by `python -m clearway_cli.reference`. Exit codes: 0 done, \
1 the work failed, 2 wrong use, 130 stopped by Ctrl-C.
"""

_CLOSING = """
## `clearway-gateway`

The gateway's own command, for a machine that holds nothing else: `init`, `check`, `enrol`, `run` \
and `status` are those of `clearway gateway`, `replay` is `clearway replay`, with the same options.
"""

Command = Any
"""A command as the library behind Typer knows it; where its class lies differs between versions."""

Words = tuple[str, ...]


def commands(command: Command = None, path: Words = ()) -> Iterator[tuple[Words, Command]]:
    """Yield every command that does something, with its words, in the order of ``--help``."""
    if command is None:
        command = get_command(command_line())
        names: Sequence[str] = [name for group in COMMANDS.values() for name in group]
    else:
        names = tuple(getattr(command, "commands", ()))
        if not names or command.invoke_without_command:
            yield path, command
    for name in names:
        yield from commands(command.commands[name], (*path, name))


def reference() -> str:
    """Return the text of the list."""
    every = list(commands())
    parts = [_OPENING, "| command | what it does |\n|---|---|"]
    parts += [f"| `clearway {' '.join(words)}` | {_text(each)[0]} |" for words, each in every]
    parts.append("\n## Options that many commands share\n")
    shared = {each.opts[0]: each for _, command in every for each in command.params}
    parts += [_option(shared[name]) for name in SHARED]
    for words, command in every:
        parts += ["", *_section(words, command, {name: shared[name].help for name in SHARED})]
    return "\n".join(parts) + "\n" + _CLOSING


def _section(words: Words, command: Command, shared: Mapping[str, str]) -> Iterator[str]:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option"]
    shown = "".join(
        f" {each.metavar}" if each.required else f" [{each.metavar}]" for each in arguments
    )
    yield f"## `clearway {' '.join(words)}{shown}`\n"
    yield "\n\n".join(_text(command)) + "\n"
    for each in arguments:
        yield f"- `{each.metavar}`: {each.help}"
    told = [each.opts[0] for each in options if shared.get(each.opts[0]) == each.help]
    for each in options:
        if each.opts[0] not in told:
            yield _option(each)
    yield f"- {', '.join(f'`{name}`' for name in told)}: see above."


def _option(option: Command) -> str:
    """Return a line on an option: name, word for its value, whether needed or its default, help."""
    name = "/".join((*option.opts, *option.secondary_opts))
    shown = f"`{name} {option.metavar}`" if option.metavar else f"`{name}`"
    notes = []
    if option.required:
        notes.append("needed")
    default = option.default.value if isinstance(option.default, Enum) else option.default
    if default is not None and not isinstance(default, bool) and not callable(default):
        notes.append(f"default {default}")
    if option.envvar:
        notes.append(f"`{option.envvar}`")
    noted = f" ({', '.join(notes)})" if notes else ""
    return f"- {shown}{noted}: {option.help}"


def _text(command: Command) -> list[str]:
    """Return the paragraphs of what a command says of itself."""
    paragraphs = inspect.cleandoc(command.help).split("\n\n")
    return [" ".join(paragraph.split()) for paragraph in paragraphs]


def main(arguments: Sequence[str]) -> None:
    """Write the list into the file."""
    file = Path(arguments[0]) if arguments else DEFAULT_FILE
    file.write_text(reference(), encoding="utf-8")
    sys.stdout.write(f"{file}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
