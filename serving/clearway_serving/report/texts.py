"""The words of a report in one language; what is missing is an error, never a blank."""

from __future__ import annotations

import string
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

LANGUAGES = ("en", "zh")

TEXT_FOLDER = Path(__file__).parent / "text"

Sections = Mapping[str, Mapping[str, object]]


@cache
def sections(language: str) -> Sections:
    """Return all texts of a language by section and key."""
    text = (TEXT_FOLDER / f"{language}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


class Texts:
    """Texts of one language, by ``section.key``.

    Parameters
    ----------
    language
        One of `LANGUAGES`.
    """

    def __init__(self, language: str) -> None:
        self.language = language
        self._sections = sections(language)

    def __call__(self, key: str, **values: object) -> str:
        """Return a text with its fields filled in.

        Raises
        ------
        KeyError
            If there is no such text, or a field of it was not given.
        """
        text = self._found(key)
        if not isinstance(text, str):
            raise KeyError(key)
        return text.format(**values)

    def all(self, key: str) -> tuple[str, ...]:
        """Return a list of texts."""
        found = self._found(key)
        if not isinstance(found, list):
            raise KeyError(key)
        return tuple(found)

    def has(self, key: str) -> bool:
        """Return whether there is such a text."""
        section, _, name = key.partition(".")
        return name in self._sections.get(section, {})

    def _found(self, key: str) -> object:
        section, _, name = key.partition(".")
        return self._sections[section][name]


def keys_and_fields(language: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each key of a language with the sorted names of its fields."""
    for section, texts in sections(language).items():
        for name, text in texts.items():
            parts = text if isinstance(text, list) else [str(text)]
            fields = {field for part in parts for _, field, _, _ in string.Formatter().parse(part)}
            yield f"{section}.{name}", tuple(sorted(field for field in fields if field))
