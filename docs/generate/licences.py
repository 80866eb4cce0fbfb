"""Write docs/licences.md: what Clearway needs of others, and under which licence.

Run it in an environment with all extras: ``python docs/generate/licences.py``.
"""

from __future__ import annotations

import json
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "licences.md"
VENDORED = ROOT / "serving" / "clearway_serving" / "static" / "vendor" / "vendor.json"

PARTS = {
    "edge": "a gateway",
    "pipeline": "the centre",
    "serving": "map, reports",
    "airflow": "the scheduler",
    "sim": "new simulated cities",
    "dev": "tests and tools, never shipped",
}
"""Extras of the distribution, and what needs them; a package is named under its first."""

_HEAD = """\
# Licences

Clearway itself is under Apache-2.0. It needs the packages below at the versions that
`constraints.txt` pins; it changes none of them and ships only what stands under *In the pages*.
Written by `make docs` from what each package says about itself; a test keeps it current.
"""

_TAIL = """

## Started, not linked

`clearway broker` fetches Apache Kafka and the libraries that it names (Apache-2.0; its jars are in
`broker/clearway_broker/jars.sha256`). The operating system brings Python, and where wanted Java,
PostgreSQL, Chromium and Mosquitto.
"""


def licence_of(package: metadata.Distribution) -> str:
    """Return what a package says its licence is: expression, classifiers, or its own words."""
    about = package.metadata
    if expression := about.get("License-Expression"):
        return str(expression)
    named = [
        line.rsplit(" :: ", 1)[1]
        for line in about.get_all("Classifier") or []
        if line.startswith("License :: ") and not line.endswith("OSI Approved")
    ]
    if named:
        return ", ".join(sorted(named))
    words = (about.get("License") or _licence_text(package)).strip().splitlines()
    return words[0][:60] if words else "not stated"


def _licence_text(package: metadata.Distribution) -> str:
    files = [file for file in package.files or [] if file.name.startswith("LICENSE")]
    return files[0].read_text() if files else ""


def needed_by(extra: str) -> set[str]:
    """Return the names of all packages that an extra installs here, of `clearway`'s own too."""
    found: set[str] = set()
    waiting = [("clearway", extra)]
    seen = set(waiting)
    while waiting:
        name, part = waiting.pop()
        found.add(name)
        for text in metadata.requires(name) or []:
            requirement = Requirement(text)
            if requirement.marker and not requirement.marker.evaluate({"extra": part}):
                continue
            other = canonicalize_name(requirement.name)
            for step in ((other, wanted) for wanted in ("", *requirement.extras)):
                if step not in seen and _installed(other):
                    seen.add(step)
                    waiting.append(step)
    return found - {"clearway"}


def _installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _section(title: str, rows: list[tuple[str, str, str]]) -> list[str]:
    lines = ["", f"## {title}", "", "| package | version | licence |", "|---|---|---|"]
    return [*lines, *(f"| {name} | {version} | {licence} |" for name, version, licence in rows)]


def page() -> str:
    """Return the page as Markdown."""
    lines = _HEAD.splitlines()
    named: set[str] = set()
    for extra, about in PARTS.items():
        names = sorted(needed_by(extra) - named)
        named.update(names)
        rows = [
            (name, metadata.version(name), licence_of(metadata.distribution(name)))
            for name in names
        ]
        if rows:
            lines += _section(f"For {about} (`{extra}`)", rows)
    vendored = json.loads(VENDORED.read_text(encoding="utf-8"))
    lines += _section(
        "In the pages",
        [(about["package"], about["version"], about["licence"]) for about in vendored.values()],
    )
    return "\n".join(lines) + _TAIL


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.relative_to(ROOT)}\n")
