"""Which city pack a command works with: a folder, a shipped name, or the data folder's own."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

from clearway_core.city import CITY_FILE, City, read_city
from clearway_core.data_dir import DataDir
from clearway_core.errors import UsageError


def shipped_cities() -> dict[str, Path]:
    """Return the packs that come with Clearway, by name."""
    folder = Path(str(resources.files("clearway_cities")))
    return {
        pack.name: pack
        for pack in sorted(folder.iterdir())
        if pack.is_dir() and (pack / CITY_FILE).is_file()
    }


def find_folder(name_or_folder: str) -> Path:
    """Return the folder of a city pack given by its path or by the name of a shipped one.

    Raises
    ------
    UsageError
        If there is neither; the message lists the shipped names.
    """
    folder = Path(name_or_folder).expanduser()
    if (folder / CITY_FILE).is_file():
        return folder
    shipped = shipped_cities()
    if name_or_folder in shipped:
        return shipped[name_or_folder]
    if folder.is_dir():
        message = (
            f"expected a city pack in {folder}, found no {CITY_FILE} there. "
            "`clearway city init` writes one to fill in."
        )
    else:
        message = (
            f"no city pack {name_or_folder!r}: give a folder with a {CITY_FILE} or one of "
            f"{', '.join(shipped)}. `clearway city init` begins a new one."
        )
    raise UsageError(message)


def find_city(name_or_folder: str | None, data_dir: Path) -> City | None:
    """Return the city that a command works for.

    Parameters
    ----------
    name_or_folder
        Folder of a pack or name of a shipped one; None takes the data folder's own.
    data_dir
        The installation's data folder.

    Returns
    -------
    City or None
        None if nothing was named and the data folder has no city pack.

    Raises
    ------
    UsageError
        If a pack was named that does not exist.
    SettingsError
        With every fault of its ``city.toml``.
    """
    if name_or_folder:
        return read_city(find_folder(name_or_folder))
    own = DataDir(data_dir).city
    return read_city(own) if (own / CITY_FILE).is_file() else None


def adopt_city(folder: Path, data_dir: Path) -> City:
    """Copy a pack into the data folder, in place of an earlier one, and return it.

    Recordings that lie beside the pack's files (probes, air) are left where they are.
    """
    own = DataDir(data_dir).city
    if own.resolve() != folder.resolve():
        shutil.rmtree(own, ignore_errors=True)
        shutil.copytree(folder, own, ignore=shutil.ignore_patterns("*.parquet", "*.csv.gz", ".*"))
    return read_city(own)
