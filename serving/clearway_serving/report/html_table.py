"""A table of the page as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def environment() -> Environment:
    """Return the templates; a name that a template does not get is an error."""
    from jinja2 import Environment as NewEnvironment  # noqa: PLC0415 -- loads when it is needed
    from jinja2 import FileSystemLoader, StrictUndefined  # noqa: PLC0415

    return NewEnvironment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def table(
    columns: Sequence[tuple[str, bool]],
    rows: Sequence[Sequence[object]],
    caption: str | None = None,
) -> Markup | None:
    """Return a table as HTML, or None without rows.

    Parameters
    ----------
    columns
        Title, and whether it holds numbers.
    rows
        Cells; text is escaped, drawings are not.
    caption
        What the table shows.
    """
    if not rows:
        return None
    titles = [{"title": title, "numeric": numeric} for title, numeric in columns]
    text = (
        environment().get_template("table.html").render(columns=titles, rows=rows, caption=caption)
    )
    return Markup(text)  # noqa: S704 -- the template escapes
