"""The gateway's commands as a person types them."""

from __future__ import annotations

import json

import pytest
import typer
from doubles.edge_doubles import profile_file, write_csv
from typer.testing import CliRunner

from clearway_cli.commands import gateway, inspect, replay
from clearway_core.errors import UsageError


@pytest.fixture
def run():
    app = typer.Typer()
    for module in (replay, gateway, inspect):
        module.register(app)

    def invoke(*arguments):
        result = CliRunner().invoke(app, [str(a) for a in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


@pytest.fixture
def recording(tmp_path):
    rows = [f"v{i},{1_768_440_000 + i},100.5,13.7" for i in range(7)]
    return write_csv(tmp_path / "f.csv", [*rows, "v,soon,1,1"]), profile_file(tmp_path)


def test_replay_prints_read_delivered_spooled_and_dropped_by_reason(run, recording, tmp_path):
    file, profile = recording
    result = run("replay", file, "--profile", profile, "--speed", "max", "--data-dir", tmp_path)
    assert result.exit_code == 0
    words = " ".join(result.output.split())
    assert "read 8 delivered 7 spooled 0 dropped 1 dropped: unparsable_observed_at 1" in words
    assert "line 9, column at" in words


def test_replay_json_balances(run, recording, tmp_path):
    file, profile = recording
    result = run("replay", file, "--profile", profile, "--data-dir", tmp_path, "--json")
    account = json.loads(result.stdout)
    assert account["read"] == account["delivered"] + account["spooled"] + sum(
        account["dropped"].values()
    )
    assert account["complete"] is True


def test_speed_that_is_no_number_is_wrong_use(run, recording, tmp_path):
    file, profile = recording
    with pytest.raises(UsageError, match="--speed is max or a number"):
        run("replay", file, "--profile", profile, "--speed", "fast", "--data-dir", tmp_path)


def test_inspect_lists_its_questions_and_writes_the_draft_once(run, recording, tmp_path):
    file, _ = recording
    out = tmp_path / "draft.toml"
    answer = json.loads(run("inspect", file, "--json", "--out", out).stdout)
    assert {question["key"] for question in answer["questions"]} >= {"provider", "position.datum"}
    assert out.read_text(encoding="utf-8") == answer["draft"]
    with pytest.raises(UsageError, match="exists already"):
        run("inspect", file, "--out", out)
    shown = run("inspect", file)
    assert "questions:" in shown.output


def test_gateway_init_check_and_status(run, recording, tmp_path):
    file, profile = recording
    settings = tmp_path / "gw.toml"
    assert run("gateway", "init", settings, "--name", "gw-3").exit_code == 0
    checked = json.loads(run("gateway", "check", "--settings", settings, "--json").stdout)
    assert checked["gateway"] == "gw-3"
    with pytest.raises(UsageError, match="no gateway has run"):
        run("gateway", "status", "--data-dir", tmp_path / "empty")
    run("replay", file, "--profile", profile, "--data-dir", tmp_path)
    assert run("gateway", "status", "--data-dir", tmp_path).exit_code == 0
