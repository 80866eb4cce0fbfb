"""A source profile in the making: lines of TOML, and questions."""

from __future__ import annotations

from dataclasses import dataclass, field

from clearway_edge.inspection.roles import Roles
from clearway_edge.inspection.sample import Sample

UNANSWERED = "?"
"""What stands in a draft where only a person can know; such a profile is refused until it is
replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What only a person can know.

    Parameters
    ----------
    key
        Key of the profile that the answer belongs to.
    text
        The question.
    proposal
        What the draft says meanwhile; `UNANSWERED` where nothing may be assumed.
    """

    key: str
    text: str
    proposal: str


@dataclass(slots=True)
class Draft:
    """A profile in the making.

    Parameters
    ----------
    tentative
        Fill unanswered keys with something harmless, for a preview only.
    """

    sample: Sample
    roles: Roles
    tentative: bool = False
    questions: list[Question] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def ask(self, key: str, text: str, proposal: str) -> str:
        """Record a question and write it as a comment; return what the draft says meanwhile."""
        self.questions.append(Question(key=key, text=text, proposal=proposal))
        self.lines.append(f"# QUESTION: {text}")
        return proposal

    def text(self, key: str, value: str) -> None:
        """Write a text."""
        self.lines.append(f"{key} = {quoted(value)}")

    def table(self, name: str) -> None:
        """Begin a table."""
        self.lines += ["", f"[{name}]"]


def quoted(text: str) -> str:
    """Return a TOML text; one with backslashes or tabs stays readable where it can."""
    if "\\" in text and "'" not in text:
        return f"'{text}'"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    return f'"{escaped}"'
