"""GO through a real Kafka: what the lake confirms reaches the gateway's page, in little memory."""

from __future__ import annotations

import pytest
from doubles.edge_pole import (
    air_frame,
    free_port,
    n_delivered,
    receiver_line,
    resident_mib,
    running_gateway,
    sensor,
    status_of,
    until,
    write_settings,
)

from clearway_core.lake import Lake
from clearway_core.stream.address import open_log
from clearway_ingest.jobs import ingest

pytestmark = pytest.mark.kafka


def test_the_lakes_receipt_comes_back_through_the_broker_and_says_go(kafka, tmp_path):
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    with sensor(air_frame) as air, sensor(receiver_line) as receiver:
        settings = write_settings(
            tmp_path, air=air, receiver=receiver, port=port, more=f'\n[log]\naddress = "{kafka}"\n'
        )
        with running_gateway(settings) as process:
            until(lambda: n_delivered(origin), 60)
            assert status_of(origin)["go"] is False
            log = open_log(kafka, tmp_path)
            ingest(Lake(tmp_path / "lake"), log)
            log.close()
            until(lambda: status_of(origin)["go"], 60)
            mib = resident_mib(process.pid)
            [air_reading] = [
                one for one in status_of(origin)["confirmed"] if one["contract"] == "air_reading/1"
            ]
    print(f"{mib:.1f} MiB resident")  # noqa: T201
    assert air_reading["n_stored"] > 0
    assert 0 <= air_reading["after_s"] < 60
    assert mib <= 64
    assert '"exception"' not in (tmp_path / "gateway.log").read_text()
