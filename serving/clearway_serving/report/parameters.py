"""Every parameter that a report rests on, with its source, and the hashes of their files."""

from __future__ import annotations

import hashlib
import tomllib

import polars as pl

from clearway_transforms.parameters import PARAMETER_FOLDER

FILES = ("congestion", "reliability", "corridors", "comparison", "release")
"""Parameter files of the congestion chain."""


def parameter_files() -> dict[str, str]:
    """Return the SHA-256 of each parameter file."""
    return {
        f"{name}.toml": hashlib.sha256((PARAMETER_FOLDER / f"{name}.toml").read_bytes()).hexdigest()
        for name in FILES
    }


def parameter_rows() -> pl.DataFrame:
    """Return every parameter: file, name, value, unit, status, source."""
    rows = []
    for name in FILES:
        text = (PARAMETER_FOLDER / f"{name}.toml").read_text(encoding="utf-8")
        for parameter, entry in tomllib.loads(text)["parameters"].items():
            held = entry["value"]
            value = ", ".join(held) if isinstance(held, list) else str(held)
            rows.append(
                (f"{name}.toml", parameter, value, entry["unit"], entry["status"], entry["source"])
            )
    return pl.DataFrame(
        rows,
        schema={
            "file": pl.String,
            "parameter": pl.String,
            "value": pl.String,
            "unit": pl.String,
            "status": pl.String,
            "source": pl.String,
        },
        orient="row",
    )
