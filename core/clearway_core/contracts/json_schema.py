"""JSON Schema of a wire contract, for third parties that send records without a gateway."""

from __future__ import annotations

from collections.abc import Mapping

from clearway_core.contracts.field import BOUNDS, Contract, DataType, Field

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_TYPES: Mapping[DataType, Mapping[str, object]] = {
    DataType.STRING: {"type": "string"},
    DataType.BOOL: {"type": "boolean"},
    **{
        dtype: {"type": "integer", "minimum": BOUNDS[dtype][0], "maximum": BOUNDS[dtype][1]}
        for dtype in (DataType.INT32, DataType.INT64, DataType.UINT64)
    },
    DataType.FLOAT64: {"type": "number"},
    DataType.INSTANT: {"type": "integer"},
    DataType.DATE: {"type": "string", "format": "date"},
}


def json_schema(contract: Contract) -> dict[str, object]:
    """Return the JSON Schema (2020-12) of one record of a wire contract.

    Units stand in the annotation ``x-unit``. A missing value may be null or left out.
    """
    return {
        "$schema": DIALECT,
        "$id": f"urn:clearway:contract:{contract.name}:{contract.version}",
        "title": contract.identifier,
        "description": contract.description,
        "type": "object",
        "properties": {field.name: _property(field) for field in contract.fields},
        "required": [field.name for field in contract.fields if not field.nullable],
        "additionalProperties": False,
    }


def _property(field: Field) -> dict[str, object]:
    schema = dict(_TYPES[field.dtype])
    if field.minimum is not None:
        schema["minimum"] = _plain(field.minimum)
    if field.maximum is not None:
        schema["maximum"] = _plain(field.maximum)
    if field.pattern is not None:
        schema["pattern"] = f"^(?:{field.pattern})$"  # JSON Schema looks anywhere in the text
    if field.allowed:
        schema["enum"] = [*field.allowed, *([None] if field.nullable else [])]
    if field.nullable:
        schema["type"] = [schema["type"], "null"]
    return {"description": field.description, "x-unit": field.unit, **schema}


def _plain(number: float) -> float:
    return int(number) if number == int(number) else number
