"""What every part of the house must have, and what no file may hold."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
COMPONENTS = (
    "broker",
    "cities",
    "cli",
    "core",
    "dags",
    "edge",
    "fleet",
    "ingest",
    "models",
    "quality",
    "serving",
    "sim",
    "transforms",
)


def _tracked(*patterns: str) -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", *patterns], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return [REPOSITORY / line for line in listing.stdout.splitlines()]


def _text(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_component_says_what_it_is(component):
    readme = (REPOSITORY / component / "README.md").read_text(encoding="utf-8")
    assert len(readme) > 400


def test_every_adr_is_in_the_index():
    folder = REPOSITORY / "docs" / "adr"
    index = (folder / "README.md").read_text(encoding="utf-8")
    records = sorted(file.name for file in folder.glob("0*.md"))
    assert records
    assert [name for name in records if f"({name})" not in index] == []


def test_the_lock_is_complete_and_holds_no_address():
    lock = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8")
    lines = [line for line in lock.splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9._+!-]+", line) for line in lines)
    locked = {_normal(line.split("==")[0]) for line in lines}
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {
        _normal(re.split(r"[\[<>=! ]", requirement)[0])
        for extra in project["optional-dependencies"].values()
        for requirement in extra
    }
    assert wanted - locked - {"clearway"} == set()


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_no_file_uses_the_greek_letter_for_micro():
    greek = "\N{GREEK SMALL LETTER MU}"
    offenders = [
        str(file.relative_to(REPOSITORY))
        for file in _tracked("*.py", "*.md", "*.toml", "*.js", "*.html", "*.csv", "*.json")
        if "vendor" not in file.parts and greek in (_text(file) or "")
    ]
    assert offenders == []


def test_no_file_names_a_package_registry_or_a_path_of_one_machine():
    forbidden = re.compile(
        r"files\.pythonhosted|pypi\.org/simple|registry\.npmjs|repo1?\.maven\.apache|/work/(main|shared)"
    )
    offenders = [
        str(file.relative_to(REPOSITORY))
        for file in _tracked()
        if file != Path(__file__) and forbidden.search(_text(file) or "")
    ]
    assert offenders == []


def test_no_committed_file_is_larger_than_three_megabytes():
    large = [str(file) for file in _tracked() if file.exists() and file.stat().st_size > 3_000_000]
    assert large == []


KEY_OR_TOKEN = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}|AKIA[0-9A-Z]{16}"
    r"|gh[pousr]_[A-Za-z0-9]{36}|xox[abp]-[A-Za-z0-9-]{20}|eyJ[A-Za-z0-9_-]{20,}\.eyJ"
)


def test_no_file_holds_a_key_or_a_token():
    planted = "-----BEGIN " + "EC PRIVATE KEY-----\n" + "MHcCAQEEIBkg" * 4
    assert KEY_OR_TOKEN.search(planted)
    offenders = [
        str(file.relative_to(REPOSITORY))
        for file in _tracked()
        if KEY_OR_TOKEN.search(_text(file) or "")
    ]
    assert offenders == []
