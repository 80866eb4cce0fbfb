"""The guide on gateways: its commands exist, its first steps work, an update is kept rightly."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from clearway_cli.app import command_line
from clearway_edge import main as gateway

REPOSITORY = Path(__file__).parents[2]
GUIDE = REPOSITORY / "docs/guides/gateway.md"
SCRIPT = REPOSITORY / "edge/mender/ArtifactCommit_Enter_50_clearway"


def commands(program: str) -> list[list[str]]:
    blocks = re.findall(r"```bash\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith(f"{program} ")]


def test_every_command_of_the_gateway_in_the_guide_is_understood():
    found = commands("clearway-gateway")
    assert {words[1] for words in found} == {"init", "check", "enrol"}
    for words in found:
        gateway._parser().parse_args(words[1:])


def test_every_command_of_the_office_in_the_guide_is_understood():
    app = command_line()
    found = commands("clearway")
    assert len(found) >= 3
    for words in found:
        command, rest = get_command(app), words[1:]
        while hasattr(command, "commands"):
            assert rest[0] in command.commands, words
            command, rest = command.commands[rest[0]], rest[1:]
        command.make_context(words[1], list(rest))


def test_the_first_steps_of_the_guide_work_as_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words in commands("clearway-gateway")[:3]:
        words = [word.replace("/etc/clearway/", "") for word in words]  # noqa: PLW2901
        if words[1] == "enrol":
            text = Path("gateway.toml").read_text(encoding="utf-8")
            text = re.sub(r"^# (?=tls|key_file|certificate_file)", "", text, flags=re.MULTILINE)
            Path("gateway.toml").write_text(text.replace("/var/lib/clearway", str(tmp_path)))
        with pytest.raises(SystemExit) as ended:
            gateway.main(words[1:])
        assert ended.value.code == 0, words
    assert (tmp_path / "tls/gateway.csr").exists()


@pytest.mark.parametrize(("active_at", "code"), [(1, 0), (3, 0), (99, 1)])
def test_an_update_is_kept_only_if_the_gateway_comes_to_work(tmp_path, active_at, code):
    programs = tmp_path / "bin"
    programs.mkdir()
    count = tmp_path / "count"
    fake = programs / "systemctl"
    fake.write_text(
        f'#!/bin/sh\n[ "$*" = "is-active --quiet clearway-gateway" ] || exit 9\n'
        f'echo x >> {count}\n[ "$(wc -l < {count})" -ge {active_at} ]\n'
    )
    fake.chmod(0o755)
    environment = {
        **os.environ, "PATH": f"{programs}:{os.environ['PATH']}",
        "CLEARWAY_TRIES": "5", "CLEARWAY_PAUSE_S": "0",
    }  # fmt: skip
    done = subprocess.run([str(SCRIPT)], env=environment, capture_output=True, check=False)
    assert done.returncode == code
