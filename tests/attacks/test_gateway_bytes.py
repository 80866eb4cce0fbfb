"""Somebody holds everything that a gateway ever wrote and sent, and looks for its vehicles.

The gateway is a process with a folder of its own, also for temporary files; it is fed by every way
that names vehicles, with garbage among it, killed, given a damaged outbox, and started again. The
same search must find the names in gateways that are leaky on purpose.
"""

from __future__ import annotations

import base64
import gzip
import os
import sqlite3

import cramjam
import pytest
from doubles.byte_search import forms, leaks
from doubles.edge_doubles import batches_in
from doubles.searched_gateway import (
    DEVICE,
    GARBAGE,
    NAMES,
    RECORDED,
    Gateway,
    live_through_everything,
    telemetry_of,
)

LEAKS = {
    "masking removed": """
        from clearway_edge.privacy import pseudonyms as privacy
        def mask(self, providers, vehicles, instants_ms):
            return list(vehicles), ["2026-01-15"] * len(vehicles)
        privacy.Pseudonymiser.mask = mask
    """,
    "a hash without a key": """
        import hashlib
        from clearway_edge.privacy import pseudonyms as privacy
        def hashed(key, vehicle, epoch):
            return hashlib.sha256(vehicle.encode()).hexdigest()[:32]
        privacy.pseudonym = hashed
    """,
    "names in the log file, as base64": """
        import base64, sys
        from clearway_edge.privacy import pseudonyms as privacy
        true = privacy.pseudonym
        def told(key, vehicle, epoch):
            sys.stderr.write(base64.b64encode(b"x" + vehicle.encode()).decode() + "\\n")
            return true(key, vehicle, epoch)
        privacy.pseudonym = told
    """,
    "a temporary file that is deleted before the end": """
        import tempfile
        from clearway_edge.privacy import pseudonyms as privacy
        true = privacy.pseudonym
        kept = tempfile.NamedTemporaryFile(delete=False)
        def noted(key, vehicle, epoch):
            kept.write(vehicle[::-1].encode()); kept.flush()
            return true(key, vehicle, epoch)
        privacy.pseudonym = noted
    """,
    "a digest of the request without a key": """
        from clearway_edge.sources.pushed import push_memory
        push_memory._Generation.mark = lambda self, digest: digest
    """,
}


def found_in(gateway):
    # The log tells when and where a vehicle without a name was: the rest of a request of one fix
    # can be made up for every vehicle of a fleet, and its digest compared.
    bodies = [body for body in gateway.pushed if len(body) > 10]
    made_up = [
        prefix + body
        for body in bodies
        for prefix in (b"", b"cabs\0/telemetry\0", b"vans\0/readings\0")
    ]
    return leaks(gateway.root, gateway.answers, NAMES, requests={"a request": made_up})


def _only_written(gateway):
    for file in (gateway.settings, gateway.root / "cabs", gateway.root / "vans"):
        file.unlink(missing_ok=True)


def test_no_byte_that_a_gateway_wrote_or_sent_names_a_vehicle(tmp_path):
    gateway = Gateway(tmp_path / "gw")
    try:
        live_through_everything(gateway)
        file = tmp_path / "cabs.csv"
        file.write_text(f"vehicle,at,lon,lat\n{RECORDED},1768440000,100.5,13.7\n{GARBAGE},x,y,z\n")
        profile = tmp_path / "profile.toml"
        profile.write_text(
            'contract = "gps_ping/1"\nprovider = "fleet"\ntime_zone = "Asia/Bangkok"\n'
            '[format]\nkind = "csv"\n[vehicle]\ncolumn = "vehicle"\nclass = "taxi"\n'
            '[time]\ncolumn = "at"\nformat = "unix_s"\n'
            '[position]\nlon = "lon"\nlat = "lat"\ndatum = "wgs84"\n'
        )
        gateway.run(
            "replay", "replay", file, "--profile", profile, "--data-dir", gateway.home / "data"
        )
        gateway.run("status", "status", "--data-dir", gateway.home / "data")
    finally:
        gateway.close()
    _only_written(gateway)
    # It really worked: cabs went to the log, the receiver's car waits, both under pseudonyms.
    log = names_sent(gateway.home)
    # The vans and the receiver's car are private: their first minutes never leave.
    assert {provider for provider, _ in log} == {"cabs", "fleet"}
    assert all(len(name) == 32 for _, name in log)
    assert list(gateway.home.rglob("*damaged*")), "the outbox was not set aside"
    assert found_in(gateway) == []


def names_sent(home):
    """Provider and vehicle of every fix in the log."""
    return {
        pair
        for batch in batches_in(home / "data")
        for pair in zip(batch.columns["provider"], batch.columns["vehicle"], strict=True)
    }


@pytest.mark.parametrize("leak", LEAKS)
def test_the_search_finds_the_names_once_masking_is_removed(tmp_path, leak):
    gateway = Gateway(tmp_path / "gw", leak=LEAKS[leak])
    try:
        gateway.start()
        assert gateway.telemetry("stored", telemetry_of(DEVICE)) == 200
        gateway.copy()
        gateway.stop()
    finally:
        gateway.close()
    _only_written(gateway)
    title = "a request" if "request" in leak else DEVICE
    assert any(found.startswith(title) for found in found_in(gateway))


@pytest.mark.parametrize("form", forms(DEVICE))
@pytest.mark.parametrize("packing", ["plain", "zstd", "gzip", "zstd of zstd"])
def test_every_form_of_a_name_is_found_wherever_it_lies(tmp_path, form, packing):
    code = b"\x01\x02junk" + forms(DEVICE)[form] + b"more"
    packed = {
        "plain": code,
        "zstd": bytes(cramjam.zstd.compress(code)),
        "gzip": gzip.compress(code),
        "zstd of zstd": bytes(cramjam.zstd.compress(bytes(cramjam.zstd.compress(code)))),
    }[packing]
    (tmp_path / "any").write_bytes(os.urandom(50) + packed + b"tail")
    assert leaks(tmp_path, {}, [DEVICE])
    assert not leaks(tmp_path, {}, ["another-vehicle-0815"])


@pytest.mark.parametrize("offset", range(3))
def test_name_inside_of_longer_base64_is_found(tmp_path, offset):
    (tmp_path / "any").write_bytes(base64.b64encode(b"x" * (30 + offset) + DEVICE.encode() + b"yy"))
    assert leaks(tmp_path, {}, [DEVICE])


def test_deleted_row_of_a_table_is_found(tmp_path):
    db = sqlite3.connect(tmp_path / "any.sqlite")
    db.execute("pragma secure_delete = off")
    db.execute("create table t (v blob)")
    db.execute("insert into t values (?)", (DEVICE.encode() * 50,))
    db.commit()
    db.execute("delete from t")
    db.commit()
    db.close()
    assert leaks(tmp_path, {}, [DEVICE])
