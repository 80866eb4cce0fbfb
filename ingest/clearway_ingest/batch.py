"""From decoded records to frames of the lake: rows that keep the rules, and rows that do not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, compress, repeat

import numpy as np
import orjson
import polars as pl

from clearway_core.contracts.field import Contract, DataType, broken_rule
from clearway_core.contracts.raw_tables import N_VEHICLE_BUCKETS
from clearway_core.stream.log import StoredMessage
from clearway_ingest import derived_times
from clearway_ingest.decode import Records
from clearway_ingest.rules import Judged, judge

MASKED = "(masked)"
"""Stands where a value may name a vehicle or is of an unknown kind."""

_SHOWN_CHARACTERS = 200
"""A quarantined row is kept to be understood; one text of a megabyte would not help."""

_SHOWN_NAMES = 20
_NAME = re.compile(r"\w{1,64}", re.ASCII)
_PERSONAL_NAME = re.compile(r"[a-z][a-z_]{0,39}")
"""Without digits: no number plate or device number looks like this."""

POSITION = ("topic", "log_partition", "log_offset")
HAS_IDENTITY = "has_identity"

_TEXT = frozenset({DataType.STRING, DataType.DATE})


@dataclass(frozen=True, slots=True)
class Portion:
    """The new records of one message, and where they came from."""

    records: Records
    message: StoredMessage

    def __len__(self) -> int:
        return len(self.records)


@dataclass(frozen=True, slots=True)
class Sorted:
    """Rows of one contract, apart.

    Parameters
    ----------
    valid
        Rows for the contract's table, with the extra column ``has_identity``.
    quarantined
        Rows for ``quarantine``.
    """

    valid: pl.DataFrame
    quarantined: pl.DataFrame


def sort_out(contract: Contract, portions: Sequence[Portion]) -> Sorted:
    """Return the rows that keep every rule of the contract, and those that do not.

    Parameters
    ----------
    contract
        Contract of all portions.
    portions
        Records as decoded, in the order of arrival.
    """
    columns = {name: _gather(portions, name) for name in contract.columns}
    judged = judge(contract, columns)
    raw = _raw_times(contract, portions)
    if raw is not None:
        judged = _with_undated(judged, raw)
    provenance = _provenance(portions)
    unknown = _unknown(portions)
    broken = judged.any_broken()
    if any(unknown):
        strange = pl.Series([bool(names) for names in unknown], dtype=pl.Boolean)
        broken = strange if broken is None else broken | strange
    rows = pl.DataFrame(list(judged.columns.values())).hstack(provenance)
    if raw is not None:
        rows = rows.with_columns((raw * 1000).cast(pl.Datetime("us", "UTC")))
    if broken is None:
        return Sorted(_finish(contract, rows), _quarantine(contract, [], provenance.clear()))
    shown = columns if raw is None else {**columns, derived_times.RAW: raw.to_list()}
    described = _describe(contract, shown, unknown, judged, broken)
    return Sorted(
        _finish(contract, rows.filter(~broken)),
        _quarantine(contract, described, provenance.filter(broken)),
    )


def _gather(portions: Sequence[Portion], name: str) -> list[object]:
    return list(
        chain.from_iterable(
            portion.records.columns.get(name) or repeat(None, len(portion)) for portion in portions
        )
    )


def _raw_times(contract: Contract, portions: Sequence[Portion]) -> pl.Series | None:
    """Return what the gateways' clocks said where an instant was derived [ms since 1970]."""
    if derived_times.MONOTONIC not in contract.columns:
        return None
    return pl.Series(derived_times.RAW, _gather(portions, derived_times.RAW), dtype=pl.Int64)


def _with_undated(judged: Judged, raw: pl.Series) -> Judged:
    found = derived_times.undated(judged.columns[derived_times.MONOTONIC], raw)
    return judged if found is None else replace(judged, broken=[*judged.broken, found])


def _unknown(portions: Sequence[Portion]) -> Sequence[tuple[str, ...]]:
    if not any(portion.records.unknown for portion in portions):
        return ()
    return list(
        chain.from_iterable(
            portion.records.unknown or repeat((), len(portion)) for portion in portions
        )
    )


def _provenance(portions: Sequence[Portion]) -> pl.DataFrame:
    per_message = pl.DataFrame(
        [
            (
                portion.records.gateway,
                portion.records.boot,
                portion.message.appended_at,
                portion.message.topic,
                portion.message.partition,
                portion.message.offset,
                portion.records.has_identity,
            )
            for portion in portions
        ],
        schema={
            "gateway": pl.String,
            "boot": pl.Int64,
            "received_at": pl.Datetime("us", "UTC"),
            "topic": pl.String,
            "log_partition": pl.Int32,
            "log_offset": pl.Int64,
            HAS_IDENTITY: pl.Boolean,
        },
        orient="row",
    )
    lengths = [len(portion) for portion in portions]
    rows = per_message[np.repeat(np.arange(len(portions)), lengths)]
    seq = list(chain.from_iterable(portion.records.seq for portion in portions))
    return rows.with_columns(pl.Series("seq", seq, dtype=pl.Int64))


def _finish(contract: Contract, rows: pl.DataFrame) -> pl.DataFrame:
    """Give valid rows the lake's types and the columns that lay out its folders."""
    instants = [f.name for f in contract.fields if f.dtype is DataType.INSTANT]
    dates = [f.name for f in contract.fields if f.dtype is DataType.DATE]
    rows = rows.with_columns(
        (pl.col(instants) * 1000).cast(pl.Datetime("us", "UTC")),
        pl.col(dates).str.to_date("%Y-%m-%d"),
    ).with_columns(observed_date=pl.col("observed_at").dt.date())
    if "vehicle" not in contract.columns:
        return rows
    first_byte = pl.col("vehicle").str.slice(0, 2).str.to_integer(base=16)
    return rows.with_columns(vehicle_bucket=(first_byte % N_VEHICLE_BUCKETS).cast(pl.Int32))


def _quarantine(
    contract: Contract, described: Sequence[tuple[str, str, str]], provenance: pl.DataFrame
) -> pl.DataFrame:
    schema = {"rule": pl.String, "all_rules": pl.String, "row_json": pl.String}
    described_rows = pl.DataFrame(described, schema=schema, orient="row")
    return (
        provenance.drop(HAS_IDENTITY)
        .hstack(described_rows)
        .with_columns(contract=pl.lit(contract.identifier))
    )


def _describe(
    contract: Contract,
    columns: Mapping[str, Sequence[object]],
    unknown: Sequence[tuple[str, ...]],
    judged: Judged,
    broken: pl.Series,
) -> list[tuple[str, str, str]]:
    """Return first rule, all rules and the row itself as JSON, for each broken row."""
    at = broken.to_list()
    shown_columns = (*contract.columns, *columns.keys() - set(contract.columns))
    names = [name for name, _ in judged.broken]
    masks = [mask.filter(broken).to_list() for _, mask in judged.broken]
    verdicts: Iterable[tuple[bool, ...]] = zip(*masks, strict=True) if masks else repeat(())
    rows = zip(*(compress(columns[name], at) for name in shown_columns), strict=True)
    strange = compress(unknown, at) if unknown else repeat(())
    described = []
    for row, verdict, extra in zip(rows, verdicts, strange, strict=False):
        strangers = shown_names(contract, extra)
        rules = [*compress(names, verdict), *(f"{name}_unknown" for name in strangers)]
        shown = shown_row(contract, dict(zip(shown_columns, row, strict=True)), strangers)
        described.append((rules[0], " ".join(rules), shown))
    return described


def shown_row(contract: Contract, record: Mapping[str, object], unknown: Sequence[str]) -> str:
    """Return a refused record as JSON, without anything that may name a vehicle.

    Text that breaks its rule is masked in records about vehicles, and so is whatever is not a
    plain value; a field that the contract does not know keeps its name only. Broken numbers stay:
    a refused row is kept so that somebody can see what was wrong with it.
    """
    personal = "vehicle" in contract.columns
    shown: dict[str, object] = {}
    for field in contract.fields:
        value = record[field.name]
        if value is None:
            continue
        hide = (
            personal
            and (field.dtype in _TEXT or isinstance(value, str))
            and broken_rule(field, value) is not None
        )
        shown[field.name] = MASKED if hide else _plain(value)
    if record.get(derived_times.RAW) is not None:
        shown[derived_times.RAW] = record[derived_times.RAW]
    shown.update(dict.fromkeys(unknown, MASKED))
    return orjson.dumps(shown).decode()


def shown_names(contract: Contract, names: Sequence[str]) -> list[str]:
    """Return unknown field names as they may be written: a sender may use vehicles as names."""
    pattern = _PERSONAL_NAME if "vehicle" in contract.columns else _NAME
    shown = (name if pattern.fullmatch(name) else MASKED for name in names[:_SHOWN_NAMES])
    return list(dict.fromkeys(shown))


def _plain(value: object) -> object:
    if isinstance(value, str):
        return value[:_SHOWN_CHARACTERS]
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) < 2**63 else str(value)
    return value if isinstance(value, bool | float) else MASKED
