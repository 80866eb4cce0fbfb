"""What the contracts promise to people and programs outside."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearway_core.contracts.field import DataType, broken_rules
from clearway_core.contracts.generate import generated_files, main
from clearway_core.contracts.json_schema import json_schema
from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_core.contracts.wire import TOPICS, WIRE_CONTRACTS
from clearway_core.schema import POLARS_TYPES, polars_schema
from clearway_core.stream.batch import decode

REPOSITORY = Path(__file__).parents[2]
SAMPLES = Path(__file__).parent / "samples"
ALL = [*WIRE_CONTRACTS.values(), *LAKE_CONTRACTS.values()]
FIELDS = [pytest.param(c, f, id=f"{c.identifier}-{f.name}") for c in ALL for f in c.fields]

# Ends of names that say a unit, and the unit that they say (CONVENTIONS: names carry units).
UNIT_OF_SUFFIX = {
    "_kmh": "km/h", "_deg": "°", "_m": "m", "_s": "s", "_ms": "ms", "_mm": "mm", "_ppb": "ppb",
    "_ppm": "ppm", "_pct": "%", "_c": "°C", "_hpa": "hPa", "_bytes": "B", "_ugm3": "µg/m³",
    "_dm2": "dm²", "_ds2": "ds²", "_dm_ds": "dm·ds", "_minutes": "min", "_s_per_km": "s/km",
    "_per_dl": "1/dL", "_km2": "km²",
}  # fmt: skip
INSTANT_UNITS = {"UTC", "ms since 1970-01-01T00:00Z"}


def test_generated_files_are_current():
    folder = REPOSITORY / "docs" / "contracts"
    for name, text in generated_files().items():
        assert (folder / name).read_text(encoding="utf-8") == text, (
            f"{name} is stale: run `python -m clearway_core.contracts.generate`"
        )


def test_generator_writes_every_file_into_the_folder(tmp_path, capsys):
    main([str(tmp_path / "out")])
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(generated_files())
    assert str(tmp_path / "out" / "dictionary.md") in capsys.readouterr().out


def test_dictionary_names_every_contract_and_column():
    text = generated_files()["dictionary.md"]
    for contract in ALL:
        assert f"### {contract.identifier}\n" in text
    for field in {field.name for contract in ALL for field in contract.fields}:
        assert f"| `{field}` |" in text


@pytest.mark.parametrize(("contract", "field"), FIELDS)
def test_every_field_has_a_unit_and_a_sentence(contract, field):
    assert field.unit
    assert field.description.endswith(".")
    assert field.description[0].isupper()


@pytest.mark.parametrize(("contract", "field"), FIELDS)
def test_names_and_units_agree(contract, field):
    said = [suffix for suffix in UNIT_OF_SUFFIX if field.name.endswith(suffix)]
    if said:
        assert field.unit == UNIT_OF_SUFFIX[max(said, key=len)]
    if field.dtype is DataType.INSTANT:
        assert field.unit in INSTANT_UNITS
        assert field.name.endswith(("_at", "_start", "_end"))
    if field.dtype is DataType.DATE:
        assert field.name.endswith(("_date", "_epoch"))


@pytest.mark.parametrize("contract", ALL, ids=lambda c: c.identifier)
def test_keys_and_partitions_are_never_missing(contract):
    for name in (*contract.key, *contract.partition_by):
        assert not contract.field(name).nullable


@pytest.mark.parametrize("contract", ALL, ids=lambda c: c.identifier)
def test_rules_compare_columns_that_exist(contract):
    for rule in contract.rules:
        assert {rule.left, rule.right} <= set(contract.columns)


@pytest.mark.parametrize("contract", ALL, ids=lambda c: c.identifier)
def test_polars_schema_has_the_contract_columns_in_their_order_and_types(contract):
    assert list(polars_schema(contract).items()) == [
        (field.name, POLARS_TYPES[field.dtype]) for field in contract.fields
    ]


def test_every_record_contract_has_a_topic_of_its_own_version():
    assert set(TOPICS) == set(WIRE_CONTRACTS)
    for identifier, topic in TOPICS.items():
        name, version = identifier.split("/")
        assert topic == f"clearway.{name}.v{version}"


@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("*.bin")), ids=lambda p: p.stem)
def test_old_messages_are_still_read(sample):
    expected = json.loads(sample.with_suffix(".expected.json").read_text(encoding="utf-8"))
    batch = decode(sample.read_bytes())
    assert (batch.contract, batch.gateway, batch.boot, list(batch.seq)) == (
        expected["contract"],
        expected["gateway"],
        expected["boot"],
        expected["seq"],
    )
    assert {name: list(column) for name, column in batch.columns.items()} == expected["columns"]
    contract = WIRE_CONTRACTS[batch.contract]
    for position in range(len(batch)):
        row = {name: column[position] for name, column in batch.columns.items()}
        assert broken_rules(contract, row) == []


@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("*.record.json")), ids=lambda p: p.stem)
def test_old_records_still_keep_their_contract_and_schema(sample):
    name, version = re.match(r"(\w+)-(\d+)\.", sample.name).groups()
    contract = WIRE_CONTRACTS[f"{name}/{version}"]
    record = json.loads(sample.read_text(encoding="utf-8"))
    jsonschema.validate(record, json_schema(contract))
    assert broken_rules(contract, record) == []


def test_there_are_samples_of_every_record_contract():
    names = {path.name.split(".")[0] for path in SAMPLES.glob("*.bin")}
    assert names >= {identifier.replace("/", "-") for identifier in WIRE_CONTRACTS}


@pytest.mark.parametrize("contract", WIRE_CONTRACTS.values(), ids=lambda c: c.identifier)
def test_json_schema_is_valid_2020_12(contract):
    jsonschema.Draft202012Validator.check_schema(json_schema(contract))


VALIDATORS = {
    identifier: jsonschema.Draft202012Validator(
        json_schema(contract), format_checker=jsonschema.FormatChecker(["date"])
    )
    for identifier, contract in WIRE_CONTRACTS.items()
}
BASES = {
    path.name.split(".")[0].replace("-", "/"): json.loads(path.read_text(encoding="utf-8"))
    for path in sorted(SAMPLES.glob("*.full.record.json"))
}
ODD_VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    # JSON Schema calls 1.0 an integer; a whole number on the wire has no point.
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: x != int(x))
    | st.text(st.characters(exclude_characters="\n"), max_size=40)
    | st.sampled_from(["taxi", "2008-05-21", "2008-02-31", "a" * 32])
    | st.just([])
)


@settings(max_examples=100)
@given(st.data())
def test_json_schema_and_ingest_rules_judge_alike(data):
    identifier = data.draw(st.sampled_from(sorted(BASES)))
    contract, record = WIRE_CONTRACTS[identifier], dict(BASES[identifier])
    name = data.draw(st.sampled_from([*contract.columns, "unheard_of"]))
    if data.draw(st.booleans()):
        record.pop(name, None)
    else:
        record[name] = data.draw(ODD_VALUES)
    assert VALIDATORS[identifier].is_valid(record) == (broken_rules(contract, record) == [])


def test_the_greek_letter_mu_is_nowhere_in_the_project():
    """The micro sign U+00B5 and the Greek U+03BC look alike and compare unequal."""
    greek = "\u03bc"
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git working tree")
    found = []
    for name in listed.stdout.decode().split("\0"):
        path = REPOSITORY / name
        if not path.is_file() or "/static/" in name:  # map libraries are others' work
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if greek in text:
            found.append(name)
    assert found == []
