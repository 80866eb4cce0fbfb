"""Headers, host names and callers."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from doubles import serving_lake
from doubles.serving_client import Client
from fastapi import FastAPI

from clearway_core.errors import UsageError
from clearway_core.hosts import is_loopback
from clearway_core.lake import Lake
from clearway_serving.app import STATIC, create_app
from clearway_serving.jobs import Address, serve

PAGES = ("/", "/proposals", "/proposals/0123456789abcdef")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return serving_lake.fill(Lake(tmp_path / "lake"))


def get(
    app: FastAPI, path: str, *, host: str = "localhost:8501", caller: str = "127.0.0.1"
) -> httpx.Response:
    return Client(app, host=host, caller=caller).get(path)


@pytest.mark.parametrize("path", [*PAGES, "/api/meta", "/static/js/map-page.js", "/nowhere"])
def test_every_answer_carries_a_strict_policy(lake: Lake, path: str) -> None:
    answer = get(create_app(lake), path)

    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("path", PAGES)
def test_pages_hold_no_inline_script_style_or_handler(lake: Lake, path: str) -> None:
    answer = get(create_app(lake), path)

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert all("src=" in tag for tag in re.findall(r"<script\b[^>]*>", answer.text))
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", answer.text)


def test_pages_and_styles_name_no_other_origin() -> None:
    own = [path for path in STATIC.rglob("*") if path.suffix in {".html", ".css", ".js"}]
    own = [path for path in own if "vendor" not in path.parts]
    assert len(own) > 15

    for path in own:
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "//" not in re.sub(r"(^|\s)//.*", "", text), path


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8501", "127.0.0.1.evil.example", "", "[::2]"]
)
def test_a_foreign_host_name_is_refused(lake: Lake, host: str) -> None:
    assert (get(create_app(lake), "/api/meta", host=host)).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9", "127.0.0.1:8501", "[::1]:8501"])
def test_this_machines_names_are_answered(lake: Lake, host: str) -> None:
    assert (get(create_app(lake), "/healthz", host=host)).status_code == 200


def test_a_named_proxy_is_answered(lake: Lake) -> None:
    app = create_app(lake, host_names=("localhost", "traffic.example"))

    assert (get(app, "/healthz", host="traffic.example")).status_code == 200


def test_ungated_values_are_for_this_machine_alone(lake: Lake) -> None:
    app = create_app(lake, internal=True)

    assert (get(app, "/api/meta", caller="192.0.2.7")).status_code == 403
    assert (get(app, "/api/meta", caller="127.0.0.1")).json()["internal"] is True
    assert (get(app, "/api/meta", caller="::1")).status_code == 200


def test_a_forwarded_address_is_not_believed(lake: Lake) -> None:
    app = create_app(lake, internal=True)
    client = Client(app, caller="192.0.2.7")

    answer = client.get("/api/meta", headers={"x-forwarded-for": "127.0.0.1"})

    assert answer.status_code == 403


@pytest.mark.parametrize(
    "address",
    [Address(host="0.0.0.0"), Address(names=("traffic.example",))],  # noqa: S104
)
def test_ungated_values_are_never_served_elsewhere(tmp_path: Path, address: Address) -> None:
    with pytest.raises(UsageError, match="--internal"):
        serve(Lake(tmp_path), internal=True, address=address)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_loopback_is_recognised(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "::", "localhost.evil.example", ""])  # noqa: S104
def test_anything_else_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    "path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py"]
)
def test_files_outside_the_static_folder_are_not_served(lake: Lake, path: str) -> None:
    answer = get(create_app(lake), path)

    assert answer.status_code == 404


def test_nothing_can_be_written(lake: Lake) -> None:
    app = create_app(lake)

    methods = {m for route in app.routes for m in getattr(route, "methods", None) or ()}

    assert methods <= {"GET", "HEAD"}
