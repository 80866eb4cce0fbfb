"""Trained models as files: written beside their record, and loaded only if nothing can run."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from importlib.metadata import version
from pathlib import Path

from skops import io

from clearway_core.errors import ContractViolation
from clearway_core.whole_file import replace_whole

_READABLE_MODE = 0o644

TREES = "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"
"""The one type of boosted trees that skops does not know by itself."""


def load_kept(file: Path, *, trusted: Collection[str], kind: str, remedy: str) -> object:
    """Return the model of a file.

    Parameters
    ----------
    file
        Written by skops.
    trusted
        Types beyond skops' own that such a model may hold.
    kind, remedy
        What the file should be, and what to do where it is not.

    Raises
    ------
    ContractViolation
        If the file holds any other type: it may run foreign code.
    """
    unknown = set(io.get_untrusted_types(file=file)) - set(trusted)
    if unknown:
        message = (
            f"{file}: expected {kind}, got types {', '.join(sorted(unknown))}: not loaded. {remedy}"
        )
        raise ContractViolation(message)
    kept: object = io.load(file, trusted=sorted(trusted))
    return kept


def write_json(path: Path, document: Mapping[str, object]) -> None:
    """Write a document, whole or not at all, that reads the same for the same content."""
    text = json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    replace_whole(path, text.encode(), mode=_READABLE_MODE)


def versions() -> dict[str, str]:
    """Return the versions of what a model is made with."""
    return {name: version(name) for name in ("clearway", "numpy", "scikit-learn", "skops")}
