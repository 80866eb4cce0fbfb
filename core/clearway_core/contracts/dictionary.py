"""The data dictionary: every record and table with its columns, for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from clearway_core.contracts.field import Contract, Field
from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_core.contracts.wire import TOPICS, WIRE_CONTRACTS

_HEAD = """\
# Data dictionary

Written by `python -m clearway_core.contracts.generate` from `core/clearway_core/contracts`; a test
keeps it current. Do not edit.

Names carry their unit; a unit of 1 is a count, ratio, flag or name. Longitude stands before
latitude, both WGS84. An *instant* is a moment in UTC: whole milliseconds since 1970 in records,
microseconds in tables. A *uint64* H3 cell is a 15-digit hex text in files for people. Bounds are
inclusive; a record outside them is quarantined, never silently dropped.
"""

_COLUMN_HEAD = (
    "| column | type | unit | may be missing | bounds or values | meaning |\n"
    "|---|---|---|---|---|---|"
)


def dictionary() -> str:
    """Return the data dictionary as Markdown."""
    records = [_section(contract, _about_record(contract)) for contract in WIRE_CONTRACTS.values()]
    tables = [_section(contract, _about_table(contract)) for contract in LAKE_CONTRACTS.values()]
    parts = [
        _HEAD,
        "## Records",
        "What gateways and third parties send. Each has a JSON Schema beside this file.",
        *records,
        "## Tables",
        "What the lake holds.",
        *tables,
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _section(contract: Contract, about: Mapping[str, str]) -> str:
    lines = [f"### {contract.identifier}", "", contract.description, ""]
    lines += [f"- {name}: {text}" for name, text in about.items() if text]
    lines += ["", _COLUMN_HEAD, *(_row(field) for field in contract.fields)]
    if contract.rules:
        lines += ["", "Rules over several columns, wherever both are known:", ""]
        lines += [
            f"- `{rule.left}` <= `{rule.right}` ({rule.name}): {rule.description}"
            for rule in contract.rules
        ]
    return "\n".join(lines)


def _about_record(contract: Contract) -> dict[str, str]:
    return {
        "topic": f"`{TOPICS[contract.identifier]}`",
        "key": _names(contract.key) or "gateway, boot and seq of the batch",
    }


def _about_table(contract: Contract) -> dict[str, str]:
    return {
        "key": _names(contract.key) or "none, a journal",
        "laid out by": _names(contract.partition_by),
        "published": "yes, after the quality gate and the release gate"
        if contract.published
        else "",
    }


def _row(field: Field) -> str:
    missing = "yes" if field.nullable else ""
    cells = (f"`{field.name}`", field.dtype, field.unit, missing, _bounds(field), field.description)
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def _bounds(field: Field) -> str:
    if field.allowed:
        return ", ".join(field.allowed)
    if field.pattern is not None:
        return f"`{field.pattern}`"
    low, high = field.minimum, field.maximum
    if low is not None and high is not None:
        return f"{_number(low)} to {_number(high)}"
    if low is not None:
        return f"from {_number(low)}"
    return "" if high is None else f"up to {_number(high)}"


def _number(number: float) -> str:
    return f"{int(number):,}" if number == int(number) else f"{number:,}"


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
