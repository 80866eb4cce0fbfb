"""Kafka's jars: fetched once by Maven into a cache folder, and verified against our own SHA-256."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from clearway_broker.java import find_java
from clearway_core.errors import ClearwayError, MissingDependency, SourceUnavailable
from clearway_core.progress import Progress, silent

_PACKAGE = Path(__file__).parent
POM = _PACKAGE / "pom.xml"
CHECKSUMS = _PACKAGE / "jars.sha256"

_INSTALL_TIMEOUT_S = 900
_TOLD_LINES = 8


def kafka_version() -> str:
    """Return the version of Kafka that is pinned."""
    match = re.search(
        r"<artifactId>kafka_2\.13</artifactId>\s*<version>([^<]+)<", POM.read_text(encoding="utf-8")
    )
    if match is None:
        message = f"{POM} names no version of kafka_2.13: install Clearway again"
        raise ClearwayError(message)
    return match[1]


def default_folder() -> Path:
    """Return where the jars lie unless a person says otherwise."""
    return Path.home() / ".cache" / "clearway" / f"kafka-{kafka_version()}"


def expected_jars() -> dict[str, str]:
    """Return the SHA-256 of each jar by file name."""
    lines = CHECKSUMS.read_text(encoding="utf-8").splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def faults(folder: Path) -> list[str]:
    """Return what is wrong with the jars of a folder, each named; none if all is well.

    Every byte is read each time: 43 MB take 0.03 s, beside 3 s for the broker's start.
    """
    expected = expected_jars()
    present = {path.name: path for path in folder.glob("*.jar")}
    missing = [f"{name} is missing" for name in sorted(expected.keys() - present.keys())]
    unexpected = [f"{name} does not belong here" for name in sorted(present.keys() - expected)]
    changed = [
        f"{name} has another content than Clearway expects"
        for name in sorted(expected.keys() & present.keys())
        if _sha256(present[name]) != expected[name]
    ]
    return missing + unexpected + changed


def verify(folder: Path) -> None:
    """Refuse a folder whose jars are not exactly the expected ones.

    Raises
    ------
    MissingDependency
        If the folder does not exist.
    ClearwayError
        If a jar is missing, changed or unexpected; all are named.
    """
    if not folder.is_dir():
        message = f"Kafka is not installed in {folder}: run `clearway broker install`"
        raise MissingDependency(message)
    found = faults(folder)
    if found:
        listed = "\n".join(f"  {fault}" for fault in found)
        message = (
            f"the Kafka in {folder} is not the one that Clearway was made for:\n{listed}\n"
            "Delete the folder and run `clearway broker install`."
        )
        raise ClearwayError(message)


def install(
    environment: Mapping[str, str], folder: Path | None = None, *, progress: Progress = silent
) -> Path:
    """Fetch Kafka's jars with Maven unless they are there, verify them and return their folder.

    Parameters
    ----------
    environment
        Usually ``os.environ``; Maven's own settings decide where it looks.
    folder
        Where the jars go; left out, `default_folder`.

    Raises
    ------
    MissingDependency
        If there is no Java or no Maven.
    SourceUnavailable
        If Maven could not fetch the jars.
    ClearwayError
        If what came is not what Clearway expects.
    """
    folder = folder or default_folder()
    if folder.is_dir():
        verify(folder)
        return folder
    java = find_java(environment)
    maven = shutil.which("mvn", path=environment.get("PATH"))
    if maven is None:
        message = (
            f"fetching Kafka {kafka_version()} needs Maven (`mvn`), which is not on the path: "
            "install it with the system's package manager. Or copy the folder "
            f"{folder} from a machine that has it."
        )
        raise MissingDependency(message)
    progress(0, 1, f"Kafka {kafka_version()}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"the cache folder cannot be made: {error}. Choose another with --jars."
        raise ClearwayError(message) from error
    # In a folder beside it, so that an interrupted install leaves nothing that looks complete; one
    # at a time, because two Mavens that fill one empty repository disturb each other.
    with (
        _alone(folder.parent),
        tempfile.TemporaryDirectory(dir=folder.parent, prefix=".kafka-") as scratch,
    ):
        if not folder.is_dir():
            fetched = Path(scratch) / "jars"
            _fetch(Path(maven), fetched, {**environment, "JAVA_HOME": str(java.home)})
            verify(fetched)
            fetched.rename(folder)
    verify(folder)
    progress(1, 1, f"Kafka {kafka_version()}")
    return folder


def _fetch(maven: Path, target: Path, environment: Mapping[str, str]) -> None:
    pom = target.parent / "pom.xml"
    shutil.copyfile(POM, pom)
    command = [
        *(str(maven), "--batch-mode", "--quiet", "--file", str(pom)),
        *("dependency:copy-dependencies", "-DincludeScope=runtime"),
        f"-DoutputDirectory={target}",
    ]
    try:
        answer = subprocess.run(  # noqa: S603 -- the person's own Maven
            command,
            capture_output=True,
            text=True,
            timeout=_INSTALL_TIMEOUT_S,
            check=False,
            env=dict(environment),
        )
    except subprocess.TimeoutExpired as error:
        message = (
            f"Maven did not fetch Kafka within {_INSTALL_TIMEOUT_S} s: is there a network? "
            "Try again; what it has fetched so far is kept."
        )
        raise SourceUnavailable(message) from error
    if answer.returncode != 0 or not target.is_dir():
        said = "\n".join(f"  {line}" for line in _last_lines(answer.stdout + answer.stderr))
        message = (
            f"Maven could not fetch Kafka {kafka_version()}:\n{said}\n"
            "Check the network, and the proxy or mirror in Maven's settings.xml. "
            "Everything but `clearway broker` works without Kafka: leave --log out."
        )
        raise SourceUnavailable(message)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process installs into the folder."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _last_lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()][-_TOLD_LINES:]


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
