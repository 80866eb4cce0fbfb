"""Flags of a chunk's rows while they are found."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Flags:
    """Flags of a chunk's rows, by row; most rows have none."""

    by_row: dict[int, list[str]] = field(default_factory=dict)

    def add(self, row: int, flag: str) -> None:
        """Set a flag on a row."""
        self.by_row.setdefault(row, []).append(flag)

    def column(self, n_rows: int) -> list[str | None]:
        """Return the ``flags`` column: names separated by a space, None without any."""
        values: list[str | None] = [None] * n_rows
        for row, names in self.by_row.items():
            values[row] = " ".join(dict.fromkeys(names))
        return values
