"""A gateway's key never leaves it; a certificate is taken only if it fits key, name and time."""

from __future__ import annotations

import json
import socket
import ssl
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from doubles.edge_authority import Authority, openssl
from doubles.edge_doubles import all_bytes
from doubles.edge_pole import running_gateway, until, write_settings
from doubles.small_machine import gateway_without
from hypothesis import given, settings
from hypothesis import strategies as st

from clearway_core.errors import UsageError
from clearway_edge import jobs
from clearway_edge.certificate import validity_of
from clearway_edge.enrolment import EnrolmentFailed
from clearway_edge.settings.settings import read_settings

TLS = """
[log]
address = "kafka://127.0.0.1:9"
tls = true
key_file = "tls/gateway.key"
certificate_file = "tls/gateway.crt"
"""
NAME = "gw-017"


@pytest.fixture
def gateway(tmp_path: Path) -> Path:
    return write_settings(tmp_path, more=TLS)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def test_the_key_is_its_owners_alone_and_the_request_bears_the_gateways_name(gateway):
    found = jobs.enrol(gateway)
    key, request = Path(str(found["key_file"])), Path(str(found["request_file"]))
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    text = openssl("req", "-in", request, "-noout", "-text", "-verify")
    assert f"CN = {NAME}" in text
    assert f"DNS:{NAME}" in text
    assert "NIST CURVE: P-256" in text
    assert str(request) in str(found["next_step"])


def test_enrolling_again_keeps_the_key_and_makes_a_lost_request_anew(gateway):
    first = jobs.enrol(gateway)
    key = Path(str(first["key_file"])).read_bytes()
    Path(str(first["request_file"])).unlink()
    second = jobs.enrol(gateway)
    assert Path(str(first["key_file"])).read_bytes() == key
    assert Path(str(first["request_file"])).exists()
    assert second["public_key_sha256"] == first["public_key_sha256"]


def test_what_the_agency_signed_is_put_in_place_and_fits(gateway, authority, tmp_path):
    found = jobs.enrol(gateway)
    signed = authority.sign(Path(str(found["request_file"])), tmp_path / "signed.crt")
    done = jobs.enrol(gateway, certificate=signed)
    placed = Path(str(done["certificate_file"]))
    assert placed.read_bytes() == signed.read_bytes()
    assert openssl("verify", "-CAfile", authority.certificate, placed).endswith("OK\n")
    ends_at = datetime.fromisoformat(str(done["expires_at"]))
    assert validity_of(placed).expires_at == ends_at
    assert ends_at - datetime.now(UTC) > timedelta(days=299)
    assert str(done["next_step"]).startswith("nothing")


def test_a_broker_that_asks_for_certificates_knows_the_gateway_by_its_name(
    gateway, authority, tmp_path
):
    found = jobs.enrol(gateway)
    signed = authority.sign(Path(str(found["request_file"])), tmp_path / "signed.crt")
    jobs.enrol(gateway, certificate=signed)
    security = read_settings(gateway).security
    assert security is not None
    ours = replace(security, ca_file=authority.certificate).tls_context()
    assert ours is not None
    key, request = tmp_path / "b.key", tmp_path / "b.csr"
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
    openssl("req", "-new", "-key", key, "-subj", "/CN=broker", "-out", request)
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.certificate)
    theirs.verify_mode = ssl.CERT_REQUIRED
    names = "subjectAltName = DNS:broker.example\n"
    theirs.load_cert_chain(authority.sign(request, tmp_path / "b.crt", extensions=names), key)
    near, far = socket.socketpair()
    with ThreadPoolExecutor(1) as pool, near, far:
        waits = pool.submit(theirs.wrap_socket, far, server_side=True)
        with ours.wrap_socket(near, server_hostname="broker.example"), waits.result(10) as broker:
            seen = broker.getpeercert()
    assert seen is not None
    assert seen["subject"] == ((("commonName", NAME),),)


def refused(gateway: Path, signed: Path) -> str:
    before = dict(all_bytes(gateway.parent / "tls"))
    with pytest.raises(EnrolmentFailed) as caught:
        jobs.enrol(gateway, certificate=signed)
    assert dict(all_bytes(gateway.parent / "tls")) == before, "what is in place stays"
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_another_gateways_certificate_is_refused(gateway, authority, tmp_path):
    jobs.enrol(gateway)
    other = tmp_path / "other"
    other.mkdir()
    theirs = jobs.enrol(write_settings(other, more=TLS))
    signed = authority.sign(Path(str(theirs["request_file"])), tmp_path / "signed.crt")
    assert "belongs to another key" in refused(gateway, signed)


def test_a_certificate_for_another_name_is_refused(gateway, authority, tmp_path):
    found = jobs.enrol(gateway)
    request = tmp_path / "renamed.csr"
    openssl("req", "-new", "-key", found["key_file"], "-subj", "/CN=gw-018", "-out", request)
    text = refused(gateway, authority.sign(request, tmp_path / "signed.crt"))
    assert "made out to 'gw-017', got gw-018" in text


def test_an_expired_certificate_and_one_for_servers_are_refused(gateway, authority, tmp_path):
    request = Path(str(jobs.enrol(gateway)["request_file"]))
    old = authority.sign(request, tmp_path / "o.crt", ends_at=datetime(2021, 2, 3, tzinfo=UTC))
    assert "expired on 2021-02-03" in refused(gateway, old)
    server = authority.sign(
        request, tmp_path / "s.crt", extensions="extendedKeyUsage = serverAuth\n"
    )
    assert "not for clients" in refused(gateway, server)
    client = authority.sign(
        request, tmp_path / "c.crt", extensions="extendedKeyUsage = clientAuth\n"
    )
    assert jobs.enrol(gateway, certificate=client)["expires_at"] is not None


def test_what_is_no_certificate_and_a_missing_key_are_told(gateway, authority, tmp_path):
    assert "holds no certificate" in _failed(gateway, gateway, enrolled=True)
    assert "cannot be read" in _failed(gateway, tmp_path / "none.crt", enrolled=True)
    (tmp_path / "tls/gateway.key").unlink()
    assert "enrol first" in _failed(gateway, gateway, enrolled=False)


def _failed(gateway: Path, signed: Path, *, enrolled: bool) -> str:
    if enrolled:
        jobs.enrol(gateway)
    with pytest.raises(EnrolmentFailed) as caught:
        jobs.enrol(gateway, certificate=signed)
    return str(caught.value)


def test_a_damaged_key_is_told_without_its_content(gateway):
    key = Path(str(jobs.enrol(gateway)["key_file"]))
    content = key.read_text()
    key.write_text(content[:60] + content[80:])
    with pytest.raises(EnrolmentFailed, match="no private key") as caught:
        jobs.enrol(gateway)
    assert content[40:60] not in str(caught.value)


def test_settings_without_a_key_say_what_to_add(tmp_path):
    with pytest.raises(UsageError, match=r"log\.key_file and log\.certificate_file"):
        jobs.enrol(write_settings(tmp_path))


def test_the_first_start_makes_the_key_and_reads_sensors_without_a_certificate(gateway, tmp_path):
    with running_gateway(gateway):
        request = tmp_path / "tls/gateway.csr"
        until(request.exists)
        state = tmp_path / "data/gateways/gw-017/state.json"
        until(lambda: "refused" in json.loads(state.read_text())["forwarder_state"], 40)
    told = (tmp_path / "gateway.log").read_text()
    assert "enrolment_key_made" in told
    assert (tmp_path / "tls/gateway.key").read_text().split("\n")[1] not in told
    assert "Traceback" not in told


def test_without_cryptography_enrolling_says_how_to_do_it_with_openssl(gateway):
    done = subprocess.run(
        gateway_without(["cryptography"], "enrol", "--settings", gateway),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "openssl req -new" in done.stderr
    assert done.stderr.count("\n") == 1


@settings(max_examples=12, deadline=None)
@given(ends_at=st.datetimes(datetime(2021, 1, 1), datetime(2130, 1, 1)))  # noqa: DTZ001
def test_the_end_is_read_from_any_certificate_as_a_library_reads_it(
    tmp_path_factory, authority, ends_at
):
    folder = tmp_path_factory.mktemp("dates")
    gateway = write_settings(folder, more=TLS)
    request = Path(str(jobs.enrol(gateway)["request_file"]))
    ends_at = ends_at.replace(microsecond=0, tzinfo=UTC)
    signed = authority.sign(request, folder / "signed.crt", ends_at=ends_at)
    assert validity_of(signed).expires_at == ends_at
    assert validity_of(signed).starts_at == datetime(2020, 1, 1, tzinfo=UTC)


@given(cut=st.integers(0, 600), noise=st.binary(max_size=60))
@settings(max_examples=60, deadline=None)
def test_a_damaged_certificate_is_told_and_never_crashes(tmp_path_factory, authority, cut, noise):
    file = tmp_path_factory.mktemp("damaged") / "c.crt"
    text = authority.certificate.read_bytes()
    file.write_bytes(text[:cut] + noise + text[cut + len(noise) :])
    told = str(file)
    try:
        validity_of(file)
    except ValueError as error:
        told = str(error)
    assert told.startswith(str(file))
