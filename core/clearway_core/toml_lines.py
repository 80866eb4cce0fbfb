"""On which line of a TOML file a key stands, for messages; the parser does not tell."""

from __future__ import annotations

import re
from collections import Counter

_TABLE = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]")
_KEY = re.compile(
    r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+))*)\s*="""
)


def line_numbers(text: str) -> dict[str, int]:
    """Return the line of each key and table, counted from 1.

    Keys are written as messages name them: ``outbox.max_mib``, ``source[1].kind``. What stands
    inside of a text or list of several lines may be taken for a key too; it is in nobody's way.
    """
    lines: dict[str, int] = {}
    seen: Counter[str] = Counter()
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if found := _TABLE.match(line):
            table = _plain(found[2])
            if found[1] == "[[":
                place = f"{table}[{seen[table]}]"
                seen[table] += 1
                lines.setdefault(table, number)
                table = place
            lines.setdefault(table, number)
        elif found := _KEY.match(line):
            key = _plain(found[1])
            lines.setdefault(f"{table}.{key}" if table else key, number)
    return lines


def _plain(key: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in key.split("."))
