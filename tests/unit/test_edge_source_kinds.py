"""Every kind of source has what a person and a small gateway need of it."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest
from doubles.edge_doubles import TurnableClock

from clearway_core.errors import MissingDependency, SettingsError
from clearway_edge.settings.settings import read_settings
from clearway_edge.sources.kinds import KINDS, Tools
from clearway_edge.sources.kinds import kind as module_of

SAMPLES = resources.files("clearway_edge") / "settings" / "samples"
README = Path(__file__).parents[2] / "edge/README.md"
HEAD = '[gateway]\nname = "gw-1"\ntime_zone = "Asia/Bangkok"\n'


@pytest.mark.parametrize("kind", KINDS)
def test_sample_of_every_kind_is_good(tmp_path, kind):
    text = (SAMPLES / f"{kind}.toml").read_text("utf-8")
    file = tmp_path / "gateway.toml"
    file.write_text(HEAD + text, encoding="utf-8")
    [source] = read_settings(file).sources
    assert source.kind == kind


@pytest.mark.parametrize("kind", KINDS)
def test_keys_that_a_sample_leaves_out_are_known_too(tmp_path, kind):
    text = (SAMPLES / f"{kind}.toml").read_text("utf-8")
    file = tmp_path / "gateway.toml"
    file.write_text(HEAD + re.sub(r"^# (?=[a-z_]+ = )", "", text, flags=re.MULTILINE), "utf-8")
    faults = ""
    try:
        read_settings(file)
    except SettingsError as error:
        faults = str(error)
    # Two ways of the same thing exclude each other; a key that nobody knows is a mistake.
    assert "unknown key" not in faults


@pytest.mark.parametrize("kind", KINDS)
def test_readme_has_a_row_for_every_kind(kind):
    assert f"| `{kind}` |" in README.read_text(encoding="utf-8")


def test_kinds_that_are_not_used_cost_no_memory():
    program = """
import sys
from clearway_edge.sources.kinds import KINDS, kind
for name in KINDS:
    kind(name)
print(*{"paho", "google.protobuf", "google.transit", "serial", "cryptography"} & set(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("kind", "module", "says"),
    [
        ("mqtt", "paho.mqtt.client", "paho-mqtt"),
        ("gtfs_realtime", "google.protobuf.message", "gtfs-realtime-bindings"),
    ],
)
def test_kind_whose_library_is_missing_says_what_to_install(
    tmp_path, monkeypatch, kind, module, says
):
    text = (SAMPLES / f"{kind}.toml").read_text("utf-8")
    file = tmp_path / "gateway.toml"
    file.write_text(HEAD + text, encoding="utf-8")
    about = read_settings(file)
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, "clearway_edge.sources.subscribed.mqtt_session", raising=False)
    tools = Tools(clock=TurnableClock())
    with pytest.raises(MissingDependency, match=f"{says}.*edge"):
        module_of(kind).open_source(about.sources[0].about, tools)
