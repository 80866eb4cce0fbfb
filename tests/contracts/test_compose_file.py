"""docker-compose.yml as a document: valid, pinned, closed to the outside, without a secret."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import jsonschema
import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
SCHEMA = json.loads((Path(__file__).parent / "compose" / "compose-spec.json").read_text())
COMPOSE = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
ONE_SHOT = {"lake-init", "airflow-init"}


def _make_secrets() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "make_secrets", REPOSITORY / "deploy" / "make_secrets.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_file_follows_the_compose_specification():
    faults = list(jsonschema.Draft201909Validator(SCHEMA).iter_errors(COMPOSE))
    assert [f"{list(fault.path)}: {fault.message}" for fault in faults] == []


def test_a_misspelt_key_would_be_noticed():
    broken = {"services": {"kafka": {"image": "x", "helthcheck": {}}}}
    assert list(jsonschema.Draft201909Validator(SCHEMA).iter_errors(broken))


def test_every_part_of_the_chain_is_a_service():
    assert set(SERVICES) == {
        *ONE_SHOT,
        "kafka",
        "lake",
        "postgres",
        "airflow-api",
        "airflow-scheduler",
        "airflow-dag-processor",
        "airflow-triggerer",
        "ingest",
        "map",
        "gateway-fleet",
        "gateway-air",
    }


@pytest.mark.parametrize("name", sorted(set(SERVICES) - ONE_SHOT))
def test_every_lasting_service_has_a_healthcheck_and_restarts(name):
    assert SERVICES[name]["healthcheck"]["test"]
    assert SERVICES[name]["restart"] in {"unless-stopped", "on-failure"}


@pytest.mark.parametrize("name", sorted(set(SERVICES) - ONE_SHOT))
def test_what_a_lasting_service_says_is_kept_within_bounds(name):
    options = SERVICES[name]["logging"]["options"]
    assert set(options) == {"max-size", "max-file"}


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_image_is_pinned(name):
    _, _, tag = SERVICES[name]["image"].partition(":")
    assert tag
    assert tag != "latest"


def test_ports_are_open_on_this_machine_only():
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_what_a_service_waits_for_exists_and_can_become_what_it_waits_for():
    for service in SERVICES.values():
        for name, wait in service.get("depends_on", {}).items():
            if wait["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[name]
            else:
                assert name in ONE_SHOT


def test_every_named_volume_is_declared_and_used():
    used = {
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
        if not volume.startswith(".")
    }
    assert used == set(COMPOSE["volumes"])


def test_every_secret_is_a_file_that_make_secrets_writes():
    written = {f"secrets/{name}" for name in _make_secrets().texts()}
    read = {secret["file"] for secret in COMPOSE["secrets"].values()}
    read |= {file for service in SERVICES.values() for file in service.get("env_file", [])}
    assert read == written
    assert {s for service in SERVICES.values() for s in service.get("secrets", [])} == set(
        COMPOSE["secrets"]
    )


def test_dags_run_from_the_start_retention_among_them():
    airflow = SERVICES["airflow-scheduler"]["environment"]
    assert airflow["AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION"] == "false"


def test_no_secret_stands_in_the_file():
    suspicious = re.compile(r"password|secret|token|access_key|fernet|credential", re.IGNORECASE)
    for name, service in SERVICES.items():
        for key, value in service.get("environment", {}).items():
            if suspicious.search(key):
                assert key.endswith(("_CMD", "_FILE")), f"{name}: {key}"
                assert "/run/secrets/" in str(value)


def test_secrets_are_made_once_and_never_overwritten(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make_secrets = _make_secrets()
    assert make_secrets.main() == 0
    first = {file.name: file.read_text() for file in (tmp_path / "secrets").iterdir()}
    assert make_secrets.main() == 0
    assert {file.name: file.read_text() for file in (tmp_path / "secrets").iterdir()} == first
    (tmp_path / "secrets" / "lake.env").unlink()
    assert make_secrets.main() == 1
    assert "lake.env" in capsys.readouterr().err
