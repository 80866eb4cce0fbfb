"""Reports that stay as they were: each change of the figures makes another revision."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clearway_core.errors import ClearwayError
from clearway_core.whole_file import replace_whole
from clearway_serving.report.figures import KEYS, canonical

FIGURES_FILE = "report.json"
MANIFEST_FILE = "manifest.json"
LEDGER_FILE = "revisions.json"
_READ_ONLY, _READABLE = 0o444, 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One figure that differs from the revision before.

    Parameters
    ----------
    table, row, column
        Where it stands; the column is empty where a whole row is new or gone.
    old, new
        Both values; None where there is none.
    """

    table: str
    row: str
    column: str
    old: object
    new: object

    @property
    def kind(self) -> str:
        """Return ``changed`` for a figure, ``added`` or ``gone`` for a whole row."""
        if self.column:
            return "changed"
        return "added" if self.old is None else "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Altered:
    """A frozen file that is not what it was.

    Parameters
    ----------
    revision
        Number of the revision.
    file
        Name of the file.
    problem
        ``changed``, ``missing`` or ``added``.
    """

    revision: int
    file: str
    problem: str

    def __str__(self) -> str:
        return f"revision-{self.revision}/{self.file} {self.problem}"


class Revisions:
    """The revisions of one month's report in a folder.

    Parameters
    ----------
    folder
        Holds ``revision-1``, ``revision-2``, … and a ledger with the hash of each one's manifest.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def newest(self) -> int | None:
        """Return the number of the newest revision; None if there is none."""
        numbers = self._numbers()
        return max(numbers) if numbers else None

    def path(self, number: int) -> Path:
        """Return the folder of a revision."""
        return self.folder / f"revision-{number}"

    def frozen(self, number: int) -> dict[str, object]:
        """Return ``report.json`` of a revision."""
        text = (self.path(number) / FIGURES_FILE).read_text(encoding="utf-8")
        found: dict[str, object] = json.loads(text)
        return found

    def altered(self) -> list[Altered]:
        """Return every frozen file that is not what the hashes say."""
        ledger = self._ledger()
        found = []
        for number in sorted({*self._numbers(), *map(int, ledger)}):
            found += self._altered_of(number, ledger.get(str(number)))
        return found

    def freeze(self, number: int, write: Callable[[Path], None]) -> Path:
        """Make a revision: write its files beside, hash them, and move them into place.

        Parameters
        ----------
        number
            Of the new revision.
        write
            Puts the files into the folder that it is given.

        Raises
        ------
        ClearwayError
            If the revision exists already: a frozen report is never written over.
        """
        target = self.path(number)
        if target.exists():
            message = f"{target} exists already; a frozen report is never written over"
            raise ClearwayError(message)
        unfinished = self.folder / f".revision-{number}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        write(unfinished)
        manifest = {path.name: _sha256(path) for path in sorted(unfinished.iterdir())}
        text = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
        (unfinished / MANIFEST_FILE).write_text(text, encoding="utf-8")
        for path in unfinished.iterdir():
            path.chmod(_READ_ONLY)
        unfinished.replace(target)
        self._record(number, _sha256(target / MANIFEST_FILE))
        return target

    def _record(self, number: int, digest: str) -> None:
        ledger = {**self._ledger(), str(number): digest}
        text = json.dumps(ledger, indent=2, sort_keys=True) + "\n"
        replace_whole(self.folder / LEDGER_FILE, text.encode(), mode=_READABLE)

    def _numbers(self) -> list[int]:
        return sorted(
            int(path.name.removeprefix("revision-"))
            for path in self.folder.glob("revision-*")
            if path.name.removeprefix("revision-").isdecimal()
        )

    def _ledger(self) -> dict[str, str]:
        path = self.folder / LEDGER_FILE
        if not path.is_file():
            return {}
        found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        return found

    def _altered_of(self, number: int, digest: str | None) -> list[Altered]:
        folder = self.path(number)
        manifest_path = folder / MANIFEST_FILE
        if not manifest_path.is_file():
            return [Altered(revision=number, file=MANIFEST_FILE, problem="missing")]
        if digest is None or _sha256(manifest_path) != digest:
            return [Altered(revision=number, file=MANIFEST_FILE, problem="changed")]
        manifest: dict[str, str] = json.loads(manifest_path.read_text(encoding="utf-8"))
        found = []
        for name, expected in manifest.items():
            path = folder / name
            if not path.is_file():
                found.append(Altered(revision=number, file=name, problem="missing"))
            elif _sha256(path) != expected:
                found.append(Altered(revision=number, file=name, problem="changed"))
        known = {*manifest, MANIFEST_FILE}
        added = sorted(path.name for path in folder.iterdir() if path.name not in known)
        return found + [Altered(revision=number, file=name, problem="added") for name in added]


def same_figures(old: Mapping[str, object], new: Mapping[str, object]) -> bool:
    """Return whether two sets of figures are equal."""
    return canonical(old) == canonical(new)


def differences(old: Mapping[str, object], new: Mapping[str, object]) -> list[Difference]:
    """Return every figure that differs, table by table.

    Parameters
    ----------
    old, new
        Figures as `MonthReport.figures` gives them.
    """
    found = _differing("about", "", _mapping(old.get("about")), _mapping(new.get("about")))
    for table, key in KEYS.items():
        before, after = _by_key(old.get(table), key), _by_key(new.get(table), key)
        for row in sorted({*before, *after}):
            if row not in after:
                found.append(Difference(table=table, row=row, column="", old=True, new=None))
            elif row not in before:
                found.append(Difference(table=table, row=row, column="", old=None, new=True))
            else:
                found += _differing(table, row, before[row], after[row])
    return found


def _differing(
    table: str, row: str, old: Mapping[str, object], new: Mapping[str, object]
) -> list[Difference]:
    return [
        Difference(table=table, row=row, column=name, old=old.get(name), new=new.get(name))
        for name in dict.fromkeys((*old, *new))
        if canonical({"": old.get(name)}) != canonical({"": new.get(name)})
    ]


def _by_key(rows: object, key: Sequence[str]) -> dict[str, Mapping[str, object]]:
    listed = rows if isinstance(rows, list) else []
    return {" · ".join(str(row.get(name)) for name in key): row for row in listed}


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
