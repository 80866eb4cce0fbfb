"""Every word of the report in both languages."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from clearway_core.contracts.period_tables import DAY_GROUPS, PERIODS
from clearway_serving.report import texts
from clearway_serving.report.figures import KEYS
from clearway_serving.report.texts import Texts, keys_and_fields
from clearway_transforms.cleaning.clean import RULES
from clearway_transforms.comparison.verdict import Reason, Verdict

PACKAGE = Path(texts.__file__).parent
USED = re.compile(r"""\bt\(\s*f?['"]([a-z_]+\.[A-Za-z0-9_-]+)['"]""")


def test_both_languages_have_the_same_keys_and_fields():
    assert dict(keys_and_fields("en")) == dict(keys_and_fields("zh"))


@pytest.mark.parametrize("language", texts.LANGUAGES)
def test_no_text_is_empty_or_copied_from_the_other_language(language):
    words = {key: text for key, text in flat(language).items() if re.search(r"[a-z]{4}", text)}
    assert all(flat(language).values())
    if language == "zh":
        english = flat("en")
        copied = [key for key, text in words.items() if text == english[key]]
        assert copied == []


def flat(language: str) -> dict[str, str]:
    return {
        f"{section}.{name}": " ".join(text) if isinstance(text, list) else str(text)
        for section, names in texts.sections(language).items()
        for name, text in names.items()
    }


def test_every_text_that_the_code_names_exists():
    t = Texts("en")
    named = {
        key
        for path in (*PACKAGE.glob("*.py"), *PACKAGE.glob("templates/*.html"))
        for key in USED.findall(path.read_text(encoding="utf-8"))
    }
    assert len(named) > 60
    assert [key for key in sorted(named) if not t.has(key)] == []


@pytest.mark.parametrize("language", texts.LANGUAGES)
def test_whatever_a_figure_can_be_has_its_words(language):
    t = Texts(language)
    wanted = [f"rules.{rule}" for rule in RULES]
    wanted += [f"{section}.{period}" for section in ("periods", "hours", "inside", "in_sentence")
               for period in PERIODS]  # fmt: skip
    wanted += [f"{section}.{group}" for section in ("day_groups", "in_sentence")
               for group in DAY_GROUPS]  # fmt: skip
    wanted += [f"headline.{verdict}" for verdict in Verdict]
    wanted += [f"headline.{verdict}_text" for verdict in Verdict]
    wanted += [f"reasons.{reason}" for reason in Reason]
    tables = [*KEYS, "parameters", "provenance", "changes"]
    wanted += [f"{section}.{name}" for section in ("sheets", "sheet_texts") for name in tables]
    wanted += [f"months.{number}" for number in range(1, 13)]
    assert [key for key in wanted if not t.has(key)] == []


@pytest.mark.parametrize("language", texts.LANGUAGES)
def test_sheet_names_fit_into_a_workbook(language):
    names = [*texts.sections(language)["sheets"].values(), Texts(language)("workbook.readme")]
    assert all(len(str(name)) <= 31 and not set(str(name)) & set("[]:*?/\\") for name in names)
    assert len(set(names)) == len(names)


def test_a_missing_field_is_an_error_and_never_a_blank():
    with pytest.raises(KeyError):
        Texts("en")("document.page_title", city="x")


def test_the_package_holds_no_sentence_of_its_own():
    """Words belong into the text files: no string of the pages has two words with a space."""
    sentences = []
    for name in ("pages", "page_tables", "page_evidence", "headline"):
        tree = ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8"))
        docs = {
            id(node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        }
        sentences += [
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in docs
            and re.search(r"[a-z]{2,} [a-z]{2,} [a-z]{2,}", node.value)
        ]
    assert sentences == []
