"""The commands of charge and zone, as a person types them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from doubles.models_lake import Scene, write_city, write_lake, write_zone
from typer.testing import CliRunner

from clearway_cli.commands import charge, zone
from clearway_core.errors import ClearwayError, UsageError


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    charge.register(made)
    zone.register(made)
    return made


def run(app: typer.Typer, *arguments: str | Path) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_from_proposal_to_publication(app: typer.Typer, tmp_path: Path) -> None:
    write_lake(tmp_path)
    area, city = write_zone(tmp_path / "z.geojson"), write_city(tmp_path / "city").folder
    where = ("--data-dir", tmp_path)

    proposal = json.loads(
        run(app, "charge", "propose", "--zone", area, "--city", city, "--json", *where)
    )
    proposal_id = proposal["proposal_id"]
    listed = json.loads(run(app, "charge", "show", "--json", *where))
    text = run(app, "charge", "explain", proposal_id, *where)
    run(app, "charge", "approve", proposal_id, "--by", "Ana Lim", "--note", "read", *where)
    published = json.loads(
        run(app, "charge", "publish", proposal_id, "--by", "Ana Lim", "--json", *where)
    )

    assert proposal["verdict"] == "propose"
    assert [row["state"] for row in listed] == ["waiting"]
    assert "synthetic" in text
    assert "Limits" in text
    assert Path(published["file"]).is_file()


def test_hold_is_readable_and_not_published(app: typer.Typer, tmp_path: Path) -> None:
    write_lake(tmp_path, replace(Scene(), n_days=2))
    area = write_zone(tmp_path / "z.geojson")
    city = write_city(tmp_path / "city").folder
    where = ("--data-dir", tmp_path)

    text = run(app, "charge", "propose", "--zone", area, "--city", city, *where)
    proposal_id = json.loads(run(app, "charge", "show", "--json", *where))[0]["proposal_id"]
    run(app, "charge", "reject", proposal_id, "--by", "Ana Lim", *where)

    assert "hold: not enough evidence" in text
    assert "Indicative prices" in text
    with pytest.raises(ClearwayError, match="was not published"):
        run(app, "charge", "publish", proposal_id, "--by", "Ana Lim", *where)


def test_zone_without_a_lake_still_shows_its_cells(app: typer.Typer, tmp_path: Path) -> None:
    shown = json.loads(
        run(
            app,
            "zone",
            "show",
            write_zone(tmp_path / "z.geojson"),
            "--json",
            "--data-dir",
            tmp_path,
        )
    )

    assert shown["n_cells"] == 7
    assert shown["n_driven_cells"] is None


def test_zone_that_is_no_area_is_a_wrong_use(app: typer.Typer, tmp_path: Path) -> None:
    write_lake(tmp_path, replace(Scene(), n_days=1))
    point = tmp_path / "p.geojson"
    point.write_text('{"type": "Point", "coordinates": [1, 2]}', encoding="utf-8")

    with pytest.raises(UsageError, match="a zone is an area"):
        run(app, "charge", "propose", "--zone", point, "--data-dir", tmp_path)
