"""Messages as gateways and third parties send them; the same numbers give the same record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from clearway_core.contracts.wire import AIR_READING, GATEWAY_HEALTH, GPS_PING, TOPICS
from clearway_core.stream.batch import CONTENT_TYPE, RECORD_CONTENT_TYPE, Batch, encode
from clearway_core.stream.log import CONTENT_TYPE_HEADER, CONTRACT_HEADER, Message

GPS_TOPIC = TOPICS[GPS_PING.identifier]
AIR_TOPIC = TOPICS[AIR_READING.identifier]
HEALTH_TOPIC = TOPICS[GATEWAY_HEALTH.identifier]

START_MS = 1_768_433_400_000  # 2026-01-14T23:30Z: half an hour before a new day
STEP_MS = 60_000


def pseudonym(name: str) -> str:
    return hashlib.blake2b(name.encode(), digest_size=16).hexdigest()


def fix(gateway: str, boot: int, seq: int) -> dict[str, object]:
    """One valid fix; every 7th has no speed, and each of five vehicles reports in turn."""
    return {
        "provider": "cabs",
        "vehicle": pseudonym(f"{gateway}-{seq % 5}"),
        "observed_at": START_MS + seq * STEP_MS + boot,
        "lon_deg": 100.5 + seq * 1e-4,
        "lat_deg": 13.75,
        "speed_kmh": None if seq % 7 == 0 else 30.0 + seq % 11,
        "occupied": seq % 2 == 0,
        "vehicle_class": "taxi",
    }


def columnar(
    contract,
    gateway: str,
    boot: int,
    seqs: Sequence[int],
    records: Sequence[dict[str, object]],
) -> Message:
    names = {name for record in records for name in record}
    columns = {name: [record.get(name) for record in records] for name in names}
    batch = Batch(
        contract=contract.identifier, gateway=gateway, boot=boot, seq=list(seqs), columns=columns
    )
    return Message(
        key=gateway.encode(),
        value=encode(batch, contract),
        headers={CONTENT_TYPE_HEADER: CONTENT_TYPE, CONTRACT_HEADER: contract.identifier},
    )


def gps(gateway: str, boot: int, seqs: Sequence[int], **changes: object) -> Message:
    """A gateway's batch; `changes` go into every record of it."""
    return columnar(
        GPS_PING, gateway, boot, seqs, [{**fix(gateway, boot, seq), **changes} for seq in seqs]
    )


def air(gateway: str, boot: int, seqs: Sequence[int], **changes: object) -> Message:
    records = [
        {
            "sensor": f"{gateway}-pm",
            "sensor_model": "pms5003",
            "observed_at": START_MS + seq * STEP_MS,
            "lon_deg": 100.5,
            "lat_deg": 13.75,
            "pm2_5_cf1_a_ugm3": 12.0 + seq % 9,
            **changes,
        }
        for seq in seqs
    ]
    return columnar(AIR_READING, gateway, boot, seqs, records)


def health(gateway: str, boot: int, seqs: Sequence[int]) -> Message:
    records = [
        {
            "observed_at": START_MS + seq * STEP_MS,
            "about_contract": "gps_ping/1",
            "about_boot": boot,
            "n_read": seq,
            "n_delivered": seq,
            "n_spooled": 0,
            "n_dropped": 0,
            "dropped_by_reason": "{}",
            "unclean_stops": 0,
            "version": "0.1.0",
            "settings_hash": "0" * 64,
        }
        for seq in seqs
    ]
    return columnar(GATEWAY_HEALTH, gateway, boot, seqs, records)


def third_party(
    body: object, *, contract: str = "gps_ping/1", key: bytes = b"third", **headers: str
) -> Message:
    return Message(
        key=key,
        value=json.dumps(body).encode(),
        headers={
            CONTENT_TYPE_HEADER: RECORD_CONTENT_TYPE,
            CONTRACT_HEADER: contract,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        },
    )


def raw(value: bytes, *, key: bytes = b"gw-poison", **headers: str) -> Message:
    """Any bytes under any headers; a gateway's own unless told otherwise."""
    given = {CONTENT_TYPE_HEADER: CONTENT_TYPE, CONTRACT_HEADER: "gps_ping/1"}
    given.update({name.replace("_", "-"): value for name, value in headers.items()})
    return Message(key=key, value=value, headers=given)
