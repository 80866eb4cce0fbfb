"""Every command explains itself and stands in the documentation."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from clearway_cli import reference
from clearway_cli.app import COMMANDS, command_line
from clearway_cli.doctor.settings import SETTINGS
from clearway_edge import main as gateway

REPOSITORY = Path(__file__).parents[2]
CLEARWAY = (sys.executable, "-c", "from clearway_cli.main import main; main()")
PLAIN = {"NO_COLOR": "1", "COLUMNS": "200", "TERM": "dumb"}


@cache
def app() -> typer.Typer:
    return command_line()


def walk(command: object, path: tuple[str, ...]) -> list[tuple[tuple[str, ...], object]]:
    """Return every command and group below, with its words."""
    inner = getattr(command, "commands", None)
    here = [(path, command)] if path else []
    if inner is None:
        return here
    return here + [found for name, sub in inner.items() for found in walk(sub, (*path, name))]


ALL = walk(get_command(app()), ())
LEAVES = [
    path
    for path, command in ALL
    if not hasattr(command, "commands") or getattr(command, "invoke_without_command", False)
]


def test_there_are_commands_to_test() -> None:
    listed = {name for names in COMMANDS.values() for name in names}

    assert {path[0] for path in LEAVES} == listed


@pytest.mark.parametrize("path", [path for path, _ in ALL], ids=" ".join)
def test_command_has_help_that_says_what_it_does(path: tuple[str, ...]) -> None:
    answer = CliRunner().invoke(app(), [*path, "--help"], env=PLAIN)

    assert answer.exit_code == 0, answer.output
    sentence = answer.output.split("Options")[0].split("\n", 3)[-1].strip()
    assert len(re.sub(r"\s+", " ", sentence)) > 20, answer.output


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_option_is_explained(path: tuple[str, ...]) -> None:
    command = dict(ALL)[path]
    unexplained = [
        parameter.name
        for parameter in command.params  # type: ignore[attr-defined]
        if not getattr(parameter, "help", None) and parameter.name != "help"
    ]

    assert unexplained == []


def parameters(path: tuple[str, ...]) -> list[Any]:
    return [each for each in dict(ALL)[path].params if each.name != "help"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_value_of_every_option_is_named_in_the_readers_words(path: tuple[str, ...]) -> None:
    nameless = [each.opts[0] for each in parameters(path) if each.metavar is None]

    assert nameless == []  # else --help shows the name of a type in Python, such as <list[str]>


def test_list_of_commands_and_options_is_current() -> None:
    written = (REPOSITORY / "docs" / "commands.md").read_text(encoding="utf-8")

    assert written == reference.reference(), "run: python -m clearway_cli.reference"


@cache
def prose() -> Mapping[str, str]:
    """Return what people wrote, by file; the list of commands is written by the commands."""
    files = [
        *REPOSITORY.glob("*.md"),
        *REPOSITORY.glob("*/README.md"),
        *(REPOSITORY / "docs").rglob("*.md"),
    ]
    return {
        str(file.relative_to(REPOSITORY)): file.read_text(encoding="utf-8")
        for file in files
        if file.name not in {"commands.md", "CHANGELOG.md"}
    }


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_command_is_explained_where_somebody_needs_it(path: tuple[str, ...]) -> None:
    words = " ".join(path)
    ways = [f"clearway {words}", f"clearway-{words}"]  # the gateway's has a command of its own

    assert any(way in text for text in prose().values() for way in ways)


def commands_in(text: str) -> Iterator[str]:
    """Yield what a text tells people to type: lines of blocks and spans of code."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    spans = re.findall(
        r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    )
    for line in (*lines, *spans):
        told = line.strip().removeprefix("$ ").removeprefix(".venv/bin/")
        if told.startswith("clearway "):
            yield re.split(r"\s+#|\s+[|>&]|;", told)[0]


@pytest.mark.parametrize("file", prose())
def test_every_command_that_a_text_names_is_there_with_its_options(file: str) -> None:
    known = dict(ALL)
    for told in commands_in(prose()[file]):
        words = told.split()[1:]
        path: tuple[str, ...] = ()
        for word in words:
            if (*path, word) not in known:
                break
            path = (*path, word)
        if not path:
            assert not words or not re.match("[a-z]", words[0]), f"{file}: {told}"
            continue
        options = {
            name for each in known[path].params for name in (*each.opts, *each.secondary_opts)
        }  # type: ignore[attr-defined]
        named = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert named <= options | {"--help"}, f"{file}: {told}"


def test_doctor_knows_every_variable_that_a_command_reads() -> None:
    read = {each.envvar for path in LEAVES for each in parameters(path) if each.envvar}

    assert read <= set(SETTINGS)


@pytest.mark.parametrize("name", SETTINGS)
def test_every_variable_is_explained(name: str) -> None:
    assert any(name in text for text in prose().values())


def test_gateways_own_command_has_the_options_of_clearway() -> None:
    (inner,) = gateway._parser()._subparsers._group_actions
    for name, parser in inner.choices.items():
        path = ("replay",) if name == "replay" else ("gateway", name)
        own = {word for action in parser._actions for word in action.option_strings} - {"-h"}
        assert own == {word for each in parameters(path) for word in each.opts if "--" in word} | {
            "--help"
        }, name


def test_wrong_use_ends_with_2_and_says_what_to_do(tmp_path: Path) -> None:
    done = subprocess.run(
        [*CLEARWAY, "city", "check", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert done.stdout == ""
    assert "clearway city init" in done.stderr


def test_help_loads_none_of_the_heavy_parts() -> None:
    script = (
        "import sys; sys.argv = ['clearway', '--help']\n"
        "from clearway_cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'polars', 'pandas', 'airflow', 'great_expectations', 'sklearn', 'fastapi'}\n"
        "print('loaded:', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert "loaded: []" in done.stdout
