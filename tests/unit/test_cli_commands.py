"""Every command explains itself and stands in the documentation."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from clearway_cli.app import COMMANDS, command_line

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


@cache
def documentation() -> str:
    files = [
        *REPOSITORY.glob("*.md"),
        *REPOSITORY.glob("*/README.md"),
        *(REPOSITORY / "docs").rglob("*.md"),
    ]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_command_is_documented(path: tuple[str, ...]) -> None:
    assert "clearway " + " ".join(path) in documentation()


def test_list_of_commands_names_no_command_that_is_gone() -> None:
    listed = re.findall(
        r"^\| `clearway ([a-z -]+)` \|",
        (REPOSITORY / "docs" / "commands.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )

    assert sorted(listed) == sorted(" ".join(path) for path in LEAVES)


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
