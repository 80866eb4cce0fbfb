"""What we need of others is pinned, and its licence is on the page."""

from __future__ import annotations

import importlib.util
import re
from importlib import metadata
from pathlib import Path

from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs" / "licences.md"
SHIPPED = ("`edge`", "`pipeline`", "`serving`", "`airflow`", "In the pages")
ROW = re.compile(r"^\| (\S+) \| (\S+) \| (.+) \|$", re.MULTILINE)
BINDING = re.compile(r"(?<!L)(?<!Lesser )\b(?:A?GPL|General Public License)", re.IGNORECASE)

spec = importlib.util.spec_from_file_location(
    "licences", REPOSITORY / "docs" / "generate" / "licences.py"
)
assert spec is not None
assert spec.loader is not None
licences = importlib.util.module_from_spec(spec)
spec.loader.exec_module(licences)


def _rows(*sections: str) -> dict[str, tuple[str, str]]:
    rows = {}
    for part in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        title, _, text = part.partition("\n")
        if not sections or any(section in title for section in sections):
            for name, version, licence in ROW.findall(text):
                rows[canonicalize_name(name)] = (version, licence)
    return rows


def test_every_pinned_package_is_on_the_page_at_its_version():
    lines = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    rows = _rows()
    missing = [n for n, v in pins.items() if rows.get(canonicalize_name(n), ("",))[0] != v]
    assert missing == []


def test_the_page_says_what_the_packages_say_of_themselves():
    checked = 0
    for name, (version, licence) in _rows().items():
        try:
            package = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        if package.version == version:
            assert licences.licence_of(package) == licence, name
            checked += 1
    assert checked > 100


def test_nothing_that_is_shipped_binds_an_agency_to_publish_its_own_code():
    rows = _rows(*SHIPPED)
    assert len(rows) > 100
    bound = {n: text for n, (_, text) in rows.items() if BINDING.search(text)}
    # May be taken under the Artistic License instead.
    bound.pop("text-unidecode", None)
    assert bound == {}
    assert [name for name, (_, text) in rows.items() if text == "not stated"] == []
