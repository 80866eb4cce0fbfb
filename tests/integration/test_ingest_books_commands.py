"""`clearway ingest books`: what a person reads, and what a machine gets."""

from __future__ import annotations

import json
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
import typer
from doubles.edge_doubles import TurnableClock
from doubles.ingest_messages import AIR_TOPIC, GPS_TOPIC, air, gps
from doubles.ingest_pages import BOOKS_TOPIC, told, word
from typer.testing import CliRunner

from clearway_cli import dag_tasks
from clearway_cli.commands.ingest import register
from clearway_core.data_dir import DataDir
from clearway_core.errors import ContractViolation, InsufficientData, UsageError
from clearway_core.lake import Lake
from clearway_core.stream.embedded import EmbeddedLog
from clearway_ingest.books.closing import close_books
from clearway_ingest.books.ledger import SUMS
from clearway_ingest.books.month import statement
from clearway_ingest.books.write_offs import write_off
from clearway_ingest.jobs import ingest


@pytest.fixture
def log(tmp_path):
    log = EmbeddedLog(DataDir(tmp_path).log_file)
    yield log
    log.close()


@pytest.fixture
def lake(tmp_path):
    return Lake(DataDir(tmp_path).lake)


@pytest.fixture
def run(tmp_path):
    """Return a function that runs `clearway ingest books …` on the data folder."""
    app = typer.Typer()
    register(app)
    app.command()(lambda: None)  # a single group would lose its name

    def invoke(*arguments):
        words = ["ingest", "books", *arguments, "--data-dir", str(tmp_path)]
        return CliRunner().invoke(app, words, env={"COLUMNS": "200", "NO_COLOR": "1"})

    return invoke


@pytest.fixture
def month(lake, log):
    """Two gateways in January: one in order, one whose card was lost with four readings."""
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(10)), gps("gw-2", 1, range(5))])
    log.append(AIR_TOPIC, [air("gw-1", 1, range(7)), air("gw-1", 1, [7], pm2_5_cf1_a_ugm3=-1.0)])
    one = [
        word(0, 6, read=8, dropped={"unparsable": 2}, closed=True, unclean=1),
        word(6, 10, page=1, dropped={}, closed=True),
        word(0, 8, contract="air_reading/1", closed=True),
    ]
    log.append(BOOKS_TOPIC, [told("gw-1", 0, one), told("gw-2", 0, [word(0, 9, spooled=3)])])
    ingest(lake, log)


def test_closed_books_end_with_0_and_say_where_every_reading_is(run, lake, log):
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(10))])
    log.append(BOOKS_TOPIC, [told("gw-1", 0, [word(0, 10, closed=True)])])
    ingest(lake, log)
    done = run()
    assert done.exit_code == 0, done.output
    assert "read 10 = stored 10 + quarantined 0 + on the way 0 + spooled 0" in done.stdout
    assert "Third parties" in done.stdout


def test_a_difference_ends_with_1_and_names_gateway_hour_and_runbook(run, month):
    done = run()
    assert done.exit_code == 1
    assert "gw-2, gps_ping/1, hour 2026-01-14 23:00 (UTC), boot 1: 1 missing of 9" in done.stdout
    assert "docs/runbooks/books-difference.md" in done.stdout
    assert "stops without notice: 1; they cost at most 7 serial readings" in done.stdout


def test_json_holds_the_same_for_machines(run, month):
    done = run("--json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert found["closed"] is False
    assert found["pages"] == {"closed": 3, "open": 0, "difference": 1, "written_off": 0}
    assert [row["n_missing"] for row in found["differences"]] == [1]
    assert found["sums"]["n_quarantined"] == 1


def test_a_write_off_by_command_closes_the_books_and_stands_in_the_statement(run, month):
    run()
    arguments = ("--reason", "card lost in the flood", "--by", "Ada Lovelace")
    done = run("write-off", "gw-2", "--hour", "2026-01-14T23", *arguments)
    assert done.exit_code == 0, done.output
    assert "Written off: 4 readings in 1 hour " in done.stdout
    assert run().exit_code == 0
    said = run("statement", "--month", "2026-01").stdout
    assert "gw-2, gps_ping/1, 2026-01-14 23:00: 4 readings, by Ada Lovelace on" in said
    assert "card lost in the flood" in said
    assert "No difference is open." in said
    assert "dropped by the gateway: unparsable 2" in said


def test_an_hour_that_is_none_is_wrong_use(run, month):
    done = run("write-off", "gw-2", "--hour", "yesterday", "--reason", "r", "--by", "b")
    assert isinstance(done.exception, UsageError)
    assert "2026-01-15T07" in str(done.exception)


def test_the_books_of_a_lake_without_gateways_are_empty_and_closed(run):
    done = run("--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["sums"] == dict.fromkeys(SUMS, 0)


def test_the_statement_adds_up_line_by_line(lake, log, month):
    close_books(lake, log)
    made = statement(lake, "2026-01")
    parts = ("n_stored", "n_quarantined", "n_on_the_way", "n_spooled", "n_dropped", "n_missing")
    for sums in (made.total(), *(line.sums for line in made.lines)):
        assert sums["n_read"] == sum(sums[name] for name in parts)
    assert [(line.gateway, line.contract, line.n_hours) for line in made.lines] == [
        ("gw-1", "air_reading/1", 1),
        ("gw-1", "gps_ping/1", 2),
        ("gw-2", "gps_ping/1", 1),
    ]


def test_a_statement_can_be_printed_again_as_the_books_stood(lake, log, month):
    close_books(lake, log)
    first = statement(lake, "2026-01")
    later = TurnableClock(first.as_of + timedelta(days=40))
    write_off(lake, log, "gw-2", decided_by="Ada", reason="lost", clock=later)
    assert statement(lake, "2026-01") != first
    assert statement(lake, "2026-01", as_of=first.as_of) == first


def test_months_are_those_of_the_citys_clock(run, lake, log):
    # 17:00 UTC on the 31st is midnight in Bangkok.
    hour = {**word(0, 5, closed=True), "hour_start": 1_769_878_800_000}
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(5))])
    log.append(BOOKS_TOPIC, [told("gw-1", 0, [hour])])
    ingest(lake, log)
    close_books(lake, log)
    assert statement(lake, "2026-01").total()["n_read"] == 5
    assert statement(lake, "2026-02", time_zone=ZoneInfo("Asia/Bangkok")).total()["n_read"] == 5
    with pytest.raises(InsufficientData):
        statement(lake, "2026-01", time_zone=ZoneInfo("Asia/Bangkok"))


@pytest.mark.parametrize("text", ["2026-13", "January", "0000-01"])
def test_a_month_that_is_none_is_wrong_use(lake, text):
    with pytest.raises(UsageError, match="2026-01"):
        statement(lake, text)


def test_the_task_of_the_dag_fails_while_a_reading_is_missing(tmp_path, monkeypatch, month, log):
    monkeypatch.setenv("CLEARWAY_DATA_DIR", str(tmp_path))
    with pytest.raises(ContractViolation, match="gw-2, gps_ping/1"):
        dag_tasks.close_books()
    write_off(Lake(DataDir(tmp_path).lake), log, "gw-2", decided_by="Ada", reason="lost")
    assert dag_tasks.close_books()["differences"] == []
