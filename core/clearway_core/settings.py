"""Reading TOML files so that all faults are reported together, each with file, line and key."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from clearway_core.errors import SettingsError
from clearway_core.toml_lines import line_numbers

Value = TypeVar("Value")
Choice = TypeVar("Choice", bound=StrEnum)


class Secret:
    """A text that never shows itself in logs, errors or representations."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def reveal(self) -> str:
        """Return the text itself, for the one call that needs it."""
        return self._text


class Section:
    """One table of a TOML file while it is being read.

    Ask for every key that is known, then call `finish`: keys that nobody asked for are faults too.
    A faulty value is replaced by a harmless one so that reading goes on and finds the other faults.
    """

    def __init__(
        self,
        values: dict[str, object],
        *,
        file: str,
        name: str = "",
        faults: list[str],
        lines: Mapping[str, int] | None = None,
    ) -> None:
        self._values = values
        self._file = file
        self._name = name
        self._faults = faults
        self._lines = lines or {}
        self._asked: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def keys(self) -> tuple[str, ...]:
        """Return the keys that the file gives, in its order."""
        return tuple(self._values)

    def fault(self, key: str, problem: str) -> None:
        """Record a fault about a key."""
        where = f"{self._name}.{key}" if self._name else key
        # A key that is missing is shown where its table begins.
        line = self._lines.get(where) or self._lines.get(self._name)
        place = self._file if line is None else f"{self._file}, line {line}"
        self._faults.append(f"{place}: {where}: {problem}")

    def text(self, key: str, default: str | None = None, *, allowed: Sequence[str] = ()) -> str:
        """Return a text; a fault if it is missing without default or not allowed."""
        value = self._typed(key, str, default, "")
        if allowed and value not in allowed and key in self._values:
            self.fault(key, f"expected one of {', '.join(allowed)}, got {value!r}")
        return value

    def choice(self, key: str, kind: type[Choice], default: Choice | None = None) -> Choice:
        """Return the member that a text names; the first one after a fault."""
        text = self.text(key, default, allowed=tuple(kind))
        return kind(text) if text in tuple(kind) else next(iter(kind))

    def optional_text(self, key: str, *, allowed: Sequence[str] = ()) -> str | None:
        """Return a text, or None if the key is absent."""
        self._asked.add(key)
        return self.text(key, allowed=allowed) if key in self._values else None

    def matching(self, key: str, pattern: str | None) -> str:
        """Return a text that a pattern matches whole."""
        text = self.text(key)
        if key in self._values and re.fullmatch(pattern or ".*", text) is None:
            self.fault(key, f"expected a text that matches {pattern}, got {text!r}")
        return text

    def number(
        self,
        key: str,
        default: float | None = None,
        *,
        minimum: float = float("-inf"),
        maximum: float = float("inf"),
    ) -> float:
        """Return a number within bounds."""
        raw = self._values.get(key)
        if isinstance(raw, int) and not isinstance(raw, bool):
            self._asked.add(key)
            value = float(raw)
        else:
            value = self._typed(key, float, default, 0.0)
        if key in self._values and not minimum <= value <= maximum:
            self.fault(key, f"expected {minimum} to {maximum}, got {value}")
        return value

    def optional_number(self, key: str) -> float | None:
        """Return a number, or None if the key is absent."""
        self._asked.add(key)
        return self.number(key) if key in self._values else None

    def whole(
        self,
        key: str,
        default: int | None = None,
        *,
        minimum: int = 0,
        maximum: int | None = None,
    ) -> int:
        """Return a whole number within bounds."""
        value = self._typed(key, int, default, minimum)
        if maximum is not None and not minimum <= value <= maximum:
            self.fault(key, f"expected {minimum} to {maximum}, got {value}")
        elif value < minimum:
            self.fault(key, f"expected at least {minimum}, got {value}")
        return value

    def flag(self, key: str, default: bool | None = None) -> bool:  # noqa: FBT001
        """Return true or false."""
        return self._typed(key, bool, default, default=False)

    def texts(self, key: str, default: Sequence[str] | None = None) -> tuple[str, ...]:
        """Return a list of texts."""
        value = self._typed(key, list, None if default is None else list(default), [])
        if not all(isinstance(item, str) for item in value):
            self.fault(key, f"expected a list of texts, got {value!r}")
            return ()
        return tuple(value)

    def numbers(self, key: str, length: int | None = None) -> tuple[float, ...]:
        """Return a list of numbers, of a fixed length if given."""
        value = self._typed(key, list, None, [])
        good = all(isinstance(i, int | float) and not isinstance(i, bool) for i in value)
        if not good or (length is not None and len(value) != length and key in self._values):
            self.fault(key, f"expected {length or 'a list of'} numbers, got {value!r}")
            return ()
        return tuple(float(item) for item in value)

    def time_zone(self, key: str, default: str | None = None) -> ZoneInfo:
        """Return an IANA time zone."""
        name = self.text(key, default)
        try:
            return ZoneInfo(name or "UTC")
        except (ZoneInfoNotFoundError, ValueError):
            self.fault(key, f"expected an IANA time zone such as Asia/Bangkok, got {name!r}")
            return ZoneInfo("UTC")

    def section(self, key: str) -> Section:
        """Return a sub-table; an empty one if it is absent."""
        value = self._typed(key, dict, {}, {})
        return self._below(key, value)

    def sections(self, key: str) -> list[Section]:
        """Return an array of tables; an empty list if it is absent."""
        value = self._typed(key, list, [], [])
        if not all(isinstance(item, dict) for item in value):
            self.fault(key, f"expected [[{key}]] tables, got {value!r}")
            return []
        return [self._below(f"{key}[{number}]", item) for number, item in enumerate(value)]

    def finish(self) -> None:
        """Record a fault for every key that nobody asked for."""
        for key in self._values:
            if key not in self._asked:
                known = ", ".join(sorted(self._asked))
                self.fault(key, f"unknown key; known here: {known}")

    def _below(self, key: str, values: dict[str, object]) -> Section:
        name = f"{self._name}.{key}" if self._name else key
        return Section(values, file=self._file, name=name, faults=self._faults, lines=self._lines)

    def _typed(self, key: str, wanted: type[Value], given: Value | None, default: Value) -> Value:
        self._asked.add(key)
        if key not in self._values:
            if given is None:
                self.fault(key, f"missing; expected a {_TOML_NAMES[wanted]}")
                return default
            return given
        value = self._values[key]
        if type(value) is not wanted:
            self.fault(key, f"expected a {_TOML_NAMES[wanted]}, got {value!r}")
            return default
        return value


_TOML_NAMES: dict[type, str] = {
    str: "text",
    float: "number",
    int: "whole number",
    bool: "true or false",
    list: "list",
    dict: "table",
}


def open_toml(file: Path) -> tuple[Section, list[str]]:
    """Return the top of a TOML file and the list that its faults will be collected in.

    Raises
    ------
    SettingsError
        If the file cannot be read or is not TOML.
    """
    try:
        text = file.read_text(encoding="utf-8")
        values = tomllib.loads(text)
    except OSError as error:
        raise SettingsError(
            [f"{file}: cannot be read ({error.strerror}); check the path"]
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SettingsError([f"{file}: is not TOML: {error}"]) from error
    faults: list[str] = []
    return Section(values, file=str(file), faults=faults, lines=line_numbers(text)), faults


def raise_faults(faults: Sequence[str]) -> None:
    """Raise all faults together, if there are any.

    Raises
    ------
    SettingsError
        With every fault.
    """
    if faults:
        raise SettingsError(faults)
