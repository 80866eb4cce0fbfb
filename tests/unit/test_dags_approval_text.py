"""Who approves reads prices, effects, verdict and what is missing, and cannot be fooled."""

from __future__ import annotations

import copy
import re

from clearway_cli.texts.approval import ask

BODY: dict = {
    "verdict": "propose",
    "missing": [
        {"what": "income", "consequence": "no statement on who pays", "effect": "limits"},
    ],
    "zone": {"name": "Old town"},
    "city": {"name": "Demo City", "synthetic": True},
    "currency": "EUR",
    "price_year": 2026,
    "minor_digits": 2,
    "periods": [
        {"period": "am_peak", "label": "Working days 7-10"},
        {"period": "night", "label": "Night"},
    ],
    "classes": [
        {"charge_class": "car", "label": "Car", "exempt": False},
        {"charge_class": "bus", "label": "Bus", "exempt": True},
    ],
    "prices": [
        {
            "period": "am_peak",
            "charge_class": "car",
            "exempt": False,
            "price_minor_per_km": 35,
            "typical_crossing_minor": 120,
        },
        {
            "period": "am_peak",
            "charge_class": "bus",
            "exempt": True,
            "price_minor_per_km": 0,
            "typical_crossing_minor": 0,
        },
        {
            "period": "night",
            "charge_class": "car",
            "exempt": False,
            "price_minor_per_km": None,
            "typical_crossing_minor": None,
        },
    ],
    "predicted": {
        "overall": {
            "traffic_change_pct": {"median": -8.1, "low": -12.0, "high": -4.2, "unit": "%"},
            "nox_change_pct": {"median": -9.0, "low": -14.0, "high": -5.0, "unit": "%"},
            "speed_change_pct": {"median": 5.5, "low": 2.0, "high": 9.0, "unit": "%"},
        }
    },
}


def changed(**parts: object) -> dict:
    return copy.deepcopy(BODY) | parts


def test_the_headline_names_the_zone_and_what_is_asked() -> None:
    subject, _ = ask(BODY, proposal_id="ab12", map_address=None)

    assert subject == "Charge proposal for Old town: approve or reject"


def test_prices_are_in_whole_currency_units_and_exempt_classes_are_named() -> None:
    _, text = ask(BODY, proposal_id="ab12", map_address=None)

    assert "| Working days 7-10 | Car | 0.35 EUR | 1.20 EUR |" in text
    assert "Exempt: Bus." in text
    assert "Night" not in text, "a period without a price must not look like one"


def test_effects_stand_with_their_interval() -> None:
    _, text = ask(BODY, proposal_id="ab12", map_address=None)

    text = text.replace("\N{MINUS SIGN}", "-")
    assert "Traffic in the zone: -8.1 % (90 % interval -12 to -4.2 %)" in text
    assert "Speed: +5.5 % (90 % interval +2 to +9 %)" in text


def test_what_is_missing_is_said_with_its_consequence() -> None:
    _, text = ask(BODY, proposal_id="ab12", map_address=None)

    assert "- income: no statement on who pays" in text
    assert "Nothing is missing." in ask(changed(missing=[]), proposal_id="a", map_address=None)[1]


def test_a_made_up_city_is_called_that() -> None:
    assert "This city is made up." in ask(BODY, proposal_id="a", map_address=None)[1]
    real = changed(city={"name": "Chiang Mai", "synthetic": False})
    assert "made up" not in ask(real, proposal_id="a", map_address=None)[1]


def test_a_hold_says_that_nothing_can_be_published() -> None:
    held = changed(verdict="hold", prices=[], predicted={"overall": None}, currency=None)

    subject, text = ask(held, proposal_id="ab12", map_address=None)

    assert subject == "Charge proposal for Old town: on hold, not enough evidence"
    assert "Nothing can be published" in text
    assert "No price is stated." in text
    assert "No effect is predicted." in text


def test_the_evidence_is_linked_where_there_is_a_map() -> None:
    _, text = ask(BODY, proposal_id="ab12", map_address="http://127.0.0.1:8501/")

    assert "[http://127.0.0.1:8501/proposals/ab12]" in text


def test_a_name_from_a_file_cannot_change_the_page() -> None:
    evil = "A |\n# B [x](http://evil) <img src=x>"
    missing = [{"what": evil, "consequence": evil}]
    classes = [{"charge_class": "car", "label": evil, "exempt": False}]

    subject, text = ask(
        changed(zone={"name": evil}, missing=missing, classes=classes),
        proposal_id="a",
        map_address=None,
    )

    assert "\n" not in subject
    inert = re.sub(r"\\.", "", text)
    assert not re.search(r"\[x\]|<img|# B", inert)
    [row] = [line for line in inert.splitlines() if "0.35 EUR" in line]
    assert row.count("|") == 5
