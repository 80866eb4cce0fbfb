"""The gateway beside rsyslog: the same readings to the same Kafka, at 1,000 a second.

    python benchmarks/gateway.py --data FOLDER [--seconds 60] [--breaks 50] [--out FILE]

FOLDER holds ``scenario/sumo_15k``. Measured for each: CPU and memory of its process, bytes that it
writes to the disk, bytes of Kafka's own segment files (record batches lie there as they were sent),
and readings that are missing after kills (SIGKILL) and broker outages. Ours is pushed JSON lines by
HTTP and answers when they are on the disk; it also parses, checks and masks each. rsyslog is given
the same lines by TCP, passes them on as they are, and cannot answer: what it lost after TCP had
taken it counts.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from random import Random

import orjson
from gateway_contenders import (
    Clearway,
    Contender,
    Rsyslog,
    cpu_s,
    resident_bytes,
    written_bytes,
)
from gateway_readings import Reading, line, readings

from clearway_broker.server import Broker, running_broker
from clearway_core.clock import to_ms
from clearway_core.stream.batch import decode
from clearway_core.stream.kafka import KafkaLog
from clearway_core.stream.log import StoredMessage

RATE_PER_S = 1000
LINES_A_REQUEST = 100
LARGE_REQUEST = 1000
"""What a fleet sends once a second, and what it sends when it is impatient."""
SETTLE_S = 20.0
MESSAGE_SIZES = (100, 1000, 5000)


def steady(
    contender: Contender, broker: Broker, source: Iterator[Reading], seconds: int, at_once: int
) -> dict[str, float]:
    """Return what a contender needs at 1,000 readings a second, given so many at once."""
    contender.start()
    _feed(contender, source, 5, at_once)  # what is done once is not counted
    before = (cpu_s(contender.pid), written_bytes(contender.pid))
    most_bytes = 0
    for _ in range(seconds):
        _feed(contender, source, 1, at_once)
        most_bytes = max(most_bytes, resident_bytes(contender.pid))
    n = seconds * RATE_PER_S
    used_s = cpu_s(contender.pid) - before[0]
    written = written_bytes(contender.pid) - before[1]
    time.sleep(7)
    contender.stop()
    n_all = n + 5 * RATE_PER_S
    return {
        "cpu_share_of_a_core": round(used_s / seconds, 4),
        "cpu_us_per_reading": round(used_s / n * 1e6, 2),
        "resident_mib": round(most_bytes / 2**20, 1),
        "written_bytes_per_reading": round(written / n, 1),
        "wire_bytes_per_reading": round(_segment_bytes(broker, contender.topic) / n_all, 2),
    }


def message_sizes(folder: Path, source: Iterator[Reading]) -> dict[str, float]:
    """Return bytes on the wire per reading for messages of several sizes."""
    found = {}
    for size in MESSAGE_SIZES:
        with running_broker(folder / f"broker-{size}") as broker:
            gateway = Clearway(
                folder / f"gateway-{size}", _host(broker), max_records=size, latency_s=30.0
            )
            gateway.start()
            for _ in range(50):
                gateway.give([line(reading) for reading in islice(source, size // 5)])
            time.sleep(3)
            gateway.stop()
            held = 10 * size
            n_bytes = _segment_bytes(broker, gateway.topic)
            found[str(size)] = round(n_bytes / held, 2)
    return found


def broken(
    contender: Contender, broker: Broker, source: Iterator[Reading], n_breaks: int
) -> dict[str, object]:
    """Kill the contender and take the broker away in turns, and count what is missing."""
    random = Random(1)  # noqa: S311 -- when things break, the same each time
    contender.start()
    given: list[int] = []
    for number in range(n_breaks):
        given += _feed(contender, source, random.uniform(0.5, 1.5))
        if number % 2 == 0:
            contender.kill()
            contender.start()
        else:
            broker.kill()
            given += _feed(contender, source, random.uniform(0.5, 2.0))
            broker.start()
    given += _feed(contender, source, 2)
    time.sleep(SETTLE_S)
    contender.stop()
    held = _held(broker, contender)
    lost = set(given) - set(held)
    return {
        "breaks": n_breaks,
        "given": len(given),
        "lost": len(lost),
        "lost_share": round(len(lost) / len(given), 5),
        "sent_twice": len(held) - len(set(held)),
    }


def _feed(
    contender: Contender,
    source: Iterator[Reading],
    seconds: float,
    at_once: int = LINES_A_REQUEST,
) -> list[int]:
    """Give readings at their rate and return their instants [ms since 1970]."""
    begun_s = time.monotonic()
    given = []
    for number in range(max(1, round(seconds * RATE_PER_S / at_once))):
        part = list(islice(source, at_once))
        contender.give([line(reading) for reading in part])
        given += [reading["observed_at"] for reading in part]
        wait_s = begun_s + (number + 1) * at_once / RATE_PER_S - time.monotonic()
        if wait_s > 0:
            time.sleep(wait_s)
    return given


def _held(broker: Broker, contender: Contender) -> list[int]:
    """Return the instants of everything in the topic, repeats with it [ms since 1970]."""
    log = KafkaLog([_host(broker)])
    found: list[int] = []
    seen: set[tuple[int, int]] = set()
    try:
        positions = dict(log.first_offsets(contender.topic))
        ends = log.end_offsets(contender.topic)
        while any(positions[where] < end for where, end in ends.items()):
            for message in log.read(positions, timeout_s=2.0):
                where = next(each for each in positions if each.partition == message.partition)
                positions[where] = message.offset + 1
                found += _instants(message, contender, seen)
    finally:
        log.close()
    return found


def _instants(
    message: StoredMessage, contender: Contender, seen: set[tuple[int, int]]
) -> list[int]:
    if isinstance(contender, Rsyslog):
        return [orjson.loads(message.value)["observed_at"]]
    batch = decode(message.value)
    instants = []
    for seq, instant in zip(batch.seq, batch.columns["observed_at"], strict=True):
        # A batch that is sent again has its identity: ingest stores it once, so it counts once.
        if (batch.boot, seq) not in seen:
            seen.add((batch.boot, seq))
            instants.append(int(str(instant)))
    return instants


def _segment_bytes(broker: Broker, topic: str) -> int:
    folders = (broker.data_dir / "topics").glob(f"{topic}-*")
    return sum(file.stat().st_size for folder in folders for file in folder.glob("*.log"))


def _host(broker: Broker) -> str:
    return broker.address.removeprefix("kafka://")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--breaks", type=int, default=50)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    result: dict[str, object] = {"started_at_ms": to_ms(datetime.now(UTC)), "load_before": load}
    with tempfile.TemporaryDirectory(prefix="clearway-gateway-", dir=".") as scratch:
        folder = Path(scratch).resolve()
        for kind in ("clearway", "rsyslog"):
            measured: dict[str, object] = {}
            for part in ("steady", "steady_small_requests", "broken"):
                with running_broker(folder / f"{kind}-{part}-broker") as broker:
                    source = readings(options.data, numbered=part == "broken")
                    contender = _contender(kind, part, folder / f"{kind}-{part}", broker)
                    if part == "broken":
                        measured[part] = broken(contender, broker, source, options.breaks)
                    else:
                        at_once = LARGE_REQUEST if part == "steady" else LINES_A_REQUEST
                        measured[part] = steady(contender, broker, source, options.seconds, at_once)
                print(kind, part, json.dumps(measured[part]), flush=True)
            result[kind] = measured
        result["clearway_wire_bytes_by_message_size"] = message_sizes(
            folder, readings(options.data)
        )
    result["machine"] = f"{platform.platform()}, {os.cpu_count()} cores"
    result["load_after"] = os.getloadavg()[0]
    text = json.dumps(result, indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")


def _contender(kind: str, part: str, folder: Path, broker: Broker) -> Contender:
    if kind == "clearway":
        return Clearway(folder, _host(broker))
    topic = "readings"
    log = KafkaLog([_host(broker)])
    log.ensure_topic(topic, 1)
    log.close()
    # What is read back must be of a kind that this program's Kafka client unpacks.
    return Rsyslog(folder, _host(broker), topic, codec="gzip" if part == "broken" else "zstd")


if __name__ == "__main__":
    main()
