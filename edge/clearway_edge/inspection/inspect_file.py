"""A file never seen before: its drafted profile, a preview of its records, and the questions."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from clearway_core.clock import from_ms
from clearway_core.errors import ClearwayError
from clearway_edge.inspection.draft import Question
from clearway_edge.inspection.drafting import draft_profile
from clearway_edge.inspection.sample import take_sample
from clearway_edge.privacy.pseudonyms import KeyRing, Pseudonymiser
from clearway_edge.rows.convert import Converter
from clearway_edge.rows.files import read_chunks
from clearway_edge.rows.profile import SourceProfile
from clearway_edge.rows.profile_reading import read_profile

PREVIEW_ROWS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What was found out about a file.

    Parameters
    ----------
    draft
        The drafted profile, TOML, with questions as comments.
    preview
        What the first rows become; vehicles under throw-away pseudonyms.
    preview_dropped
        Rows of the preview's chunk that would be dropped, by reason.
    preview_problem
        Why there is no preview; empty otherwise.
    """

    file: Path
    kind: str
    n_rows: int
    columns: tuple[str, ...]
    draft: str
    questions: tuple[Question, ...]
    preview: tuple[Mapping[str, object], ...]
    preview_dropped: Mapping[str, int]
    preview_problem: str


def inspect_file(file: Path) -> Inspection:
    """Return a drafted profile with its questions, and what the first rows become.

    Raises
    ------
    SourceUnavailable
        If the file cannot be read or shows no table.
    """
    sample = take_sample(file)
    draft = draft_profile(sample, tentative=False)
    tentative = draft_profile(sample, tentative=True)
    rows: tuple[Mapping[str, object], ...] = ()
    dropped: Mapping[str, int] = {}
    problem = ""
    try:
        rows, dropped = _preview(file, "\n".join(tentative.lines))
    except ClearwayError as error:
        problem = str(error)
    return Inspection(
        file=file,
        kind=sample.kind,
        n_rows=sample.n_rows,
        columns=tuple(sample.columns),
        draft="\n".join(draft.lines) + "\n",
        questions=tuple(draft.questions),
        preview=rows,
        preview_dropped=dropped,
        preview_problem=problem,
    )


def _preview(
    file: Path, profile_text: str
) -> tuple[tuple[Mapping[str, object], ...], Mapping[str, int]]:
    with tempfile.TemporaryDirectory() as folder:
        profile_file = Path(folder) / "draft.toml"
        profile_file.write_text(profile_text, encoding="utf-8")
        profile = read_profile(profile_file)
        pseudonyms = (
            Pseudonymiser(KeyRing(Path(folder) / "keys"), profile.time_zone)
            if profile.vehicle_column != ""
            else None
        )
        return _first_rows(file, profile, Converter(profile, pseudonyms))


def _first_rows(
    file: Path, profile: SourceProfile, converter: Converter
) -> tuple[tuple[Mapping[str, object], ...], Mapping[str, int]]:
    for chunk in islice(read_chunks(file, profile, rows=200), 1):
        converted = converter.convert(chunk)
        names = list(converted.columns)
        rows = islice(zip(*converted.columns.values(), strict=True), PREVIEW_ROWS)
        return tuple(_readable(dict(zip(names, row, strict=True))) for row in rows), dict(
            converted.dropped
        )
    return (), {}


def _readable(row: dict[str, object]) -> dict[str, object]:
    instant = row.get("observed_at")
    if isinstance(instant, int):
        row["observed_at"] = from_ms(instant).isoformat()
    return row
