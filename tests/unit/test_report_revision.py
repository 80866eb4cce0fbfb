"""Frozen reports: what is written once stays, what differs is listed, what was altered is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from clearway_core.errors import ClearwayError
from clearway_serving.report.revision import Altered, Difference, Revisions, differences


def frozen(folder: Path, number: int = 1, text: str = "figures") -> Revisions:
    revisions = Revisions(folder)
    revisions.freeze(number, lambda into: write(into, text))
    return revisions


def write(folder: Path, text: str) -> None:
    (folder / "report.json").write_text(f'{{"text": "{text}"}}', encoding="utf-8")
    (folder / "map.png").write_bytes(b"\x89PNG")


def test_a_revision_is_read_only_and_known_by_its_hashes(tmp_path):
    revisions = frozen(tmp_path)
    assert revisions.newest() == 1
    assert revisions.frozen(1) == {"text": "figures"}
    assert revisions.altered() == []
    assert all(path.stat().st_mode & 0o222 == 0 for path in revisions.path(1).iterdir())


def test_a_revision_is_never_written_over(tmp_path):
    revisions = frozen(tmp_path)
    with pytest.raises(ClearwayError, match="never written over"):
        revisions.freeze(1, lambda into: write(into, "other"))
    assert revisions.frozen(1) == {"text": "figures"}


def test_what_fails_half_way_leaves_no_revision(tmp_path):
    def fail(into: Path) -> None:
        write(into, "half")
        raise OSError(28, "No space left on device")

    revisions = Revisions(tmp_path)
    with pytest.raises(OSError, match="No space"):
        revisions.freeze(1, fail)
    assert revisions.newest() is None
    revisions.freeze(1, lambda into: write(into, "whole"))
    assert revisions.altered() == []


@pytest.mark.parametrize("file", ["report.json", "map.png", "manifest.json"])
def test_a_changed_file_is_found(tmp_path, file):
    revisions = frozen(tmp_path)
    path = revisions.path(1) / file
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b" ")
    assert revisions.altered() == [Altered(revision=1, file=file, problem="changed")]


@pytest.mark.parametrize("file", ["report.json", "manifest.json"])
def test_a_missing_file_is_found(tmp_path, file):
    revisions = frozen(tmp_path)
    (revisions.path(1) / file).unlink()
    assert revisions.altered() == [Altered(revision=1, file=file, problem="missing")]


def test_an_added_file_and_a_missing_revision_are_found(tmp_path):
    revisions = frozen(tmp_path)
    revisions.freeze(2, lambda into: write(into, "second"))
    (revisions.path(2) / "note.txt").write_text("x", encoding="utf-8")
    for path in revisions.path(1).iterdir():
        path.unlink()
    revisions.path(1).rmdir()
    assert [str(each) for each in revisions.altered()] == [
        "revision-1/manifest.json missing",
        "revision-2/note.txt added",
    ]


def test_swapped_hashes_do_not_hide_a_change(tmp_path):
    """Whoever changes a file and its manifest together is still found by the ledger."""
    revisions, other = frozen(tmp_path / "a"), frozen(tmp_path / "b", text="better")
    for path in revisions.path(1).iterdir():
        path.unlink()
    for path in other.path(1).iterdir():
        (revisions.path(1) / path.name).write_bytes(path.read_bytes())
    assert revisions.altered() == [Altered(revision=1, file="manifest.json", problem="changed")]


def test_differences_name_what_changed_came_and_went():
    old = {
        "about": {"min_days": 5},
        "days": [{"local_date": "2026-03-02", "n": 1}, {"local_date": "2026-03-03", "n": 2}],
    }
    new = {
        "about": {"min_days": 4},
        "days": [{"local_date": "2026-03-03", "n": 3}, {"local_date": "2026-03-04", "n": 4}],
    }
    found = differences(old, new)
    assert found == [
        Difference(table="about", row="", column="min_days", old=5, new=4),
        Difference(table="days", row="2026-03-02", column="", old=True, new=None),
        Difference(table="days", row="2026-03-03", column="n", old=2, new=3),
        Difference(table="days", row="2026-03-04", column="", old=None, new=True),
    ]
    assert [each.kind for each in found] == ["changed", "gone", "changed", "added"]


def test_missing_and_zero_differ():
    old = {"days": [{"local_date": "2026-03-02", "n": 0}]}
    new = {"days": [{"local_date": "2026-03-02", "n": None}]}
    (found,) = differences(old, new)
    assert (found.old, found.new) == (0, None)
