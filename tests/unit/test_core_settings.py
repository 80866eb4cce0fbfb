"""Settings files: every fault at once, each with file and key; nothing unknown, nothing guessed."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from clearway_core.errors import SettingsError
from clearway_core.settings import Secret, Section, open_toml, raise_faults


@pytest.fixture
def faults() -> list[str]:
    return []


def section(faults: list[str], **values: object) -> Section:
    return Section(values, file="a.toml", name="edge", faults=faults)


def test_values_come_back_with_their_types(faults):
    s = section(
        faults, name="gw", rate=1, factor=2.5, count=3, on=True, names=["a"], box=[1, 2.5],
        zone="Asia/Kathmandu", inner={"x": 1}, many=[{"x": 1}, {"x": 2}],
    )  # fmt: skip
    assert s.text("name") == "gw"
    assert (s.number("rate"), type(s.number("rate"))) == (1.0, float)
    assert s.number("factor") == 2.5
    assert s.whole("count") == 3
    assert s.flag("on") is True
    assert s.texts("names") == ("a",)
    assert s.numbers("box", 2) == (1.0, 2.5)
    assert s.time_zone("zone") == ZoneInfo("Asia/Kathmandu")
    assert s.section("inner").number("x") == 1.0
    assert [each.whole("x") for each in s.sections("many")] == [1, 2]
    s.finish()
    assert faults == []


def test_defaults_stand_in_for_absent_keys(faults):
    s = section(faults)
    assert s.text("a", "x") == "x"
    assert s.number("b", 0.0) == 0.0
    assert s.whole("c", 0) == 0
    assert s.flag("d", default=False) is False
    assert s.texts("e", ()) == ()
    assert s.optional_text("f") is None
    assert s.optional_number("g") is None
    assert s.section("h").keys() == ()
    assert s.sections("i") == []
    assert s.time_zone("j", "UTC") == ZoneInfo("UTC")
    assert faults == []


@pytest.mark.parametrize(
    ("ask", "values", "complaint"),
    [
        (lambda s: s.text("k"), {}, "a.toml: edge.k: missing; expected a text"),
        (lambda s: s.text("k"), {"k": 1}, "expected a text, got 1"),
        (lambda s: s.text("k", allowed=("a", "b")), {"k": "c"}, "one of a, b, got 'c'"),
        (lambda s: s.number("k"), {"k": "1"}, "expected a number, got '1'"),
        (lambda s: s.number("k"), {"k": True}, "expected a number, got True"),
        (lambda s: s.number("k", minimum=0), {"k": -1}, "expected 0 to inf, got -1.0"),
        (lambda s: s.number("k", maximum=5), {"k": 6.5}, "got 6.5"),
        (lambda s: s.number("k"), {"k": float("nan")}, "got nan"),
        (lambda s: s.whole("k"), {"k": 1.5}, "expected a whole number, got 1.5"),
        (lambda s: s.whole("k"), {"k": True}, "expected a whole number, got True"),
        (lambda s: s.whole("k", minimum=2), {"k": 1}, "at least 2, got 1"),
        (lambda s: s.flag("k"), {"k": 1}, "expected a true or false, got 1"),
        (lambda s: s.texts("k"), {"k": ["a", 1]}, "expected a list of texts"),
        (lambda s: s.numbers("k", 4), {"k": [1, 2]}, "expected 4 numbers"),
        (lambda s: s.numbers("k"), {"k": [True]}, "numbers, got [True]"),
        (lambda s: s.time_zone("k"), {"k": "Mars/Olympus"}, "IANA time zone"),
        (lambda s: s.time_zone("k"), {"k": "../etc/passwd"}, "IANA time zone"),
        (lambda s: s.section("k"), {"k": 1}, "expected a table, got 1"),
        (lambda s: s.sections("k"), {"k": [1]}, "expected [[k]] tables"),
    ],
)
def test_faulty_value_is_one_fault_that_names_file_key_and_value(faults, ask, values, complaint):
    ask(section(faults, **values))
    assert len(faults) == 1
    assert faults[0].startswith("a.toml: edge.k: ")
    assert complaint in faults[0]


def test_unknown_key_is_a_fault_that_lists_the_known_ones(faults):
    s = section(faults, naem="x")
    s.text("name", "y")
    s.optional_number("rate")
    s.finish()
    assert faults == ["a.toml: edge.naem: unknown key; known here: name, rate"]


def test_faults_of_sub_tables_name_the_whole_way(faults):
    top = Section({"many": [{"x": 1}, {"x": "a"}]}, file="a.toml", faults=faults)
    for each in top.sections("many"):
        each.number("x")
    assert faults == ["a.toml: many[1].x: expected a number, got 'a'"]


def test_all_faults_of_a_file_are_raised_together(tmp_path):
    file = tmp_path / "s.toml"
    file.write_text('a = 1\n[b]\nc = "x"\n')
    top, faults = open_toml(file)
    top.text("a")
    top.section("b").number("c")
    top.section("b").flag("d")
    with pytest.raises(SettingsError) as raised:
        raise_faults(faults)
    assert len(raised.value.faults) == 3
    assert raised.value.exit_code == 2
    assert str(raised.value).count(str(file)) == 3


def test_no_faults_raise_nothing():
    raise_faults([])


@pytest.mark.parametrize("content", [b"a = [", b"a = '\xff'"])
def test_file_that_is_not_toml_is_a_settings_error(tmp_path, content):
    file = tmp_path / "s.toml"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match="is not TOML"):
        open_toml(file)


def test_file_that_is_not_there_is_a_settings_error(tmp_path):
    with pytest.raises(SettingsError, match="cannot be read"):
        open_toml(tmp_path / "s.toml")


def test_secret_shows_itself_nowhere_but_where_asked():
    secret = Secret("hunter2")
    assert f"{secret} {secret!r} {[secret]}" == "*** *** [***]"
    assert secret.reveal() == "hunter2"
