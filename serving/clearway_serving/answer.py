"""Answers in JSON, and the errors that a reader of the API can do something about."""

from __future__ import annotations

from datetime import date

import orjson
import polars as pl
from fastapi import HTTPException
from starlette.responses import Response


def json_answer(value: object) -> Response:
    """Return a value as JSON; numbers that are not finite become null."""
    return Response(orjson.dumps(value), media_type="application/json")


def not_found(message: str) -> HTTPException:
    """Return the error for something that does not exist or is not published."""
    return HTTPException(status_code=404, detail=message)


def wrong_request(message: str) -> HTTPException:
    """Return the error for a request that makes no sense."""
    return HTTPException(status_code=422, detail=message)


def instant_ms(column: str) -> pl.Expr:
    """Return an instant column as milliseconds since 1970, as JavaScript counts."""
    return pl.col(column).dt.epoch("ms")


def local_date(text: str) -> date:
    """Return the date of a query parameter.

    Raises
    ------
    HTTPException
        If the text is no date.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        message = f"date: expected YYYY-MM-DD, got {text!r}"
        raise wrong_request(message) from None


def columns(frame: pl.DataFrame, *, decimals: int = 3) -> dict[str, list[object]]:
    """Return a frame columnwise, floats rounded: a map needs no fifteen digits."""
    rounded = frame.with_columns(pl.selectors.float().round(decimals).fill_nan(None))
    return {name: rounded[name].to_list() for name in rounded.columns}
