"""Copies the front end's libraries into the project, or proves that they are still what was copied.

``python serving/vendor.py --check`` compares every committed file with its recorded SHA-256 and
needs nothing but Python. ``python serving/vendor.py`` fetches the pinned packages with npm, copies
the few files that the pages load, and records versions and checksums.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

VENDOR = Path(__file__).parent / "clearway_serving" / "static" / "vendor"
RECORD = VENDOR / "vendor.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """One npm package and the files of it that the pages load.

    Parameters
    ----------
    package, version
        Name on npm and the exact version.
    licence
        SPDX identifier.
    files
        Name in our folder, and path inside the package.
    """

    package: str
    version: str
    licence: str
    files: Mapping[str, str]


LIBRARIES: Mapping[str, Library] = {
    "maplibre-gl": Library(
        package="maplibre-gl",
        version="6.17.0",
        licence="BSD-3-Clause",
        files={
            "maplibre-gl.mjs": "dist/maplibre-gl.mjs",
            "maplibre-gl-worker.mjs": "dist/maplibre-gl-worker.mjs",
            "maplibre-gl.css": "dist/maplibre-gl.css",
            "LICENSE": "LICENSE.txt",
        },
    ),
    "h3-js": Library(
        package="h3-js",
        version="4.5.0",
        licence="Apache-2.0",
        files={
            "h3-js.mjs": "dist/browser/h3-js.es.js",
            "LICENSE": "LICENSE",
            "NOTICE": "NOTICE",
        },
    ),
    "uplot": Library(
        package="uplot",
        version="1.6.32",
        licence="MIT",
        files={
            "uplot.mjs": "dist/uPlot.esm.js",
            "uplot.css": "dist/uPlot.min.css",
            "LICENSE": "LICENSE",
        },
    ),
    "inter": Library(
        package="@fontsource-variable/inter",
        version="5.3.0",
        licence="OFL-1.1",
        files={
            "inter-latin.woff2": "files/inter-latin-wght-normal.woff2",
            "inter-latin-ext.woff2": "files/inter-latin-ext-wght-normal.woff2",
            "inter-vietnamese.woff2": "files/inter-vietnamese-wght-normal.woff2",
            "LICENSE": "LICENSE",
        },
    ),
}


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def fetch() -> dict[str, object]:
    """Copy every library from its npm package and return the record of what was copied."""
    record: dict[str, object] = {}
    for name, library in LIBRARIES.items():
        with tempfile.TemporaryDirectory() as folder:
            answer = subprocess.run(  # noqa: S603 -- the package names are the constants above
                ["npm", "pack", "--json", f"{library.package}@{library.version}"],  # noqa: S607
                cwd=folder,
                check=True,
                capture_output=True,
                text=True,
            )
            (archive,) = Path(folder).glob("*.tgz")
            integrity = json.loads(answer.stdout)[0]["integrity"]
            record[name] = {
                "package": library.package,
                "version": library.version,
                "licence": library.licence,
                "package_integrity": integrity,
                "sha256": _copy(archive, VENDOR / name, library),
            }
    return record


def _copy(archive: Path, folder: Path, library: Library) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as package:
        for target, source in library.files.items():
            member = package.extractfile(f"package/{source}")
            if member is None:
                message = f"{library.package} {library.version} has no file {source}"
                raise FileNotFoundError(message)
            (folder / target).write_bytes(member.read())
    return {target: sha256(folder / target) for target in library.files}


def differences(vendor: Path = VENDOR) -> list[str]:
    """Return what differs between the committed files and the record; nothing if all is well."""
    record = json.loads((vendor / RECORD.name).read_text(encoding="utf-8"))
    found = []
    for name, library in record.items():
        held = {path.name for path in (vendor / name).iterdir()}
        found += [
            f"{name}/{extra}: not recorded" for extra in sorted(held - set(library["sha256"]))
        ]
        for target, expected in library["sha256"].items():
            path = vendor / name / target
            if not path.is_file():
                found.append(f"{name}/{target}: missing")
            elif sha256(path) != expected:
                found.append(f"{name}/{target}: changed since it was copied")
    return found


def main() -> int:
    """Fetch or check; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only, fetch nothing")
    if not parser.parse_args().check:
        text = json.dumps(fetch(), indent=2, sort_keys=True) + "\n"
        RECORD.write_text(text, encoding="utf-8")
    found = differences()
    sys.stdout.write("\n".join(found or ["all library files are as recorded"]) + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
