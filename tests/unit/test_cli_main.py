"""What went wrong is one text for a person and an exit code, never a traceback."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from rich.console import Console

from clearway_cli import main as command
from clearway_cli import output


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["clearway", *arguments])
    with pytest.raises(SystemExit) as ended:
        command.main()
    return int(str(ended.value.code))


def test_place_that_cannot_be_written_is_told_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")

    code = run(monkeypatch, "city", "init", "Hanoi", "--out", str(tmp_path / "file" / "pack"))

    told = capsys.readouterr()
    assert code == 1
    assert told.out == ""
    assert str(tmp_path / "file") in told.err
    assert "Not a directory" in told.err
    assert "Check the path, the rights" in told.err


def test_missing_part_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "clearway_broker", None)

    code = run(monkeypatch, "broker", "install")

    assert code == 1
    assert "clearway_broker is not installed here: `clearway doctor`" in capsys.readouterr().err


def test_machine_of_a_gateway_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "clearway_cli.app", raising=False)
    monkeypatch.setitem(sys.modules, "typer", None)

    code = run(monkeypatch, "--help")

    assert code == 1
    assert "typer is missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    "moment", ["clearway_cli.app.command_line", "clearway_cli.cities.shipped_cities"]
)
def test_ctrl_c_ends_with_130_and_no_traceback(
    moment: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(moment, interrupted)

    code = run(monkeypatch, "city", "list")

    assert code == 130
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("text", ["not [lon, lat] in degrees", "a/[/x]/[bold]", "a [/] b"])
def test_square_brackets_are_text_wherever_they_are_printed(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output, "console", Console(width=200))
    output.say_error(text)
    output.say_aside("note", text)
    output.say((text, "bold"))
    output.say_table(text, {text: text})
    output.say_rows(text, [text], [[text]])

    told = capsys.readouterr()
    assert told.err.count(text) == 2
    assert told.out.count(text) == 7


def test_work_that_fails_before_it_begins_shows_no_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output, "_errors", Console(stderr=True, width=80, color_system=None))
    with pytest.raises(ValueError, match="nothing there"), output.bar("Congestion"):
        raise ValueError("nothing there")

    assert "Congestion" not in capsys.readouterr().err
