"""From the log to the lake: Clearway beside one record at a time, on one real day of taxis.

    python benchmarks/ingest.py --data FOLDER [--out benchmarks/results/ingest.json]

FOLDER holds ``gps/sf_cabspotting``. The day lies in an embedded log as a gateway sends it, 1,000
fixes a message. Both contenders decode it, check every rule of the contract, leave out what has
arrived before and write the same Delta table, each in a process of its own (so that peak memory is
its own).
The plain one handles each record as a dictionary and writes 200,000 at a time; it keeps no offsets,
so a crash would cost it what Clearway's commits prevent. On a busy machine compare CPU seconds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import platform
import resource
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from clearway_core.contracts.field import broken_rules
from clearway_core.contracts.wire import GPS_PING, TOPICS
from clearway_core.lake import Lake
from clearway_core.stream.batch import CONTENT_TYPE, Batch, decode, encode
from clearway_core.stream.embedded import EmbeddedLog
from clearway_core.stream.log import CONTENT_TYPE_HEADER, CONTRACT_HEADER, Message

DAY = "2008-05-21"
ROUNDS = 3
KIB_PER_MIB = 1024  # ru_maxrss counts KiB on Linux
BATCH_RECORDS = 1_000
WRITE_RECORDS = 200_000


def fill(log: EmbeddedLog, archive: Path) -> int:
    """Put the day's fixes into the log and return how many there are."""
    rows = []
    with tarfile.open(archive) as members:
        for member in members:
            stream = members.extractfile(member) if member.isfile() else None
            if stream is None:
                continue
            vehicle = hashlib.blake2b(member.name.encode(), digest_size=16).hexdigest()
            for line in stream.read().decode().splitlines():
                lat, lon, occupied, at = line.split()
                rows.append((vehicle, int(at) * 1000, float(lon), float(lat), occupied == "1"))
    headers = {CONTENT_TYPE_HEADER: CONTENT_TYPE, CONTRACT_HEADER: GPS_PING.identifier}
    names = ("vehicle", "observed_at", "lon_deg", "lat_deg", "occupied")
    messages = []
    for first in range(0, len(rows), BATCH_RECORDS):
        part = rows[first : first + BATCH_RECORDS]
        columns = dict(zip(names, map(list, zip(*part, strict=True)), strict=True))
        columns["provider"] = ["cabspotting"] * len(part)
        columns["vehicle_class"] = ["taxi"] * len(part)
        batch = Batch(
            contract=GPS_PING.identifier,
            gateway="gw-1",
            boot=1,
            seq=range(first, first + len(part)),
            columns=columns,
        )
        messages.append(Message(key=b"gw-1", value=encode(batch, GPS_PING), headers=headers))
    log.append(TOPICS[GPS_PING.identifier], messages)
    return len(rows)


def clearway(log: EmbeddedLog, folder: Path) -> int:
    """`clearway ingest run --until-idle`, without the command's start."""
    from clearway_ingest.jobs import ingest

    return ingest(Lake(folder), log).stored["gps_pings"]


def one_by_one(log: EmbeddedLog, folder: Path) -> int:
    """Make a dictionary per record, and a frame of dictionaries per write."""
    import polars as pl

    table = Lake(folder).table("gps_pings")
    arrived: set[tuple[str, int, int]] = set()
    rows: list[dict[str, object]] = []
    written = 0

    def write() -> None:
        frame = pl.DataFrame(rows, infer_schema_length=None)
        at = (pl.col("observed_at") * 1000).cast(pl.Datetime("us", "UTC"))
        table.append(frame.with_columns(at))
        rows.clear()

    for where, end in log.end_offsets(TOPICS[GPS_PING.identifier]).items():
        position = 0
        while position < end:
            for message in log.read({where: position}):
                position = message.offset + 1
                batch = decode(message.value)
                for number, seq in enumerate(batch.seq):
                    identity = (batch.gateway, batch.boot, seq)
                    record = {name: values[number] for name, values in batch.columns.items()}
                    if identity in arrived or broken_rules(GPS_PING, record):
                        continue
                    arrived.add(identity)
                    at_ms, vehicle = record["observed_at"], str(record["vehicle"])
                    rows.append(
                        {
                            **record,
                            "gateway": batch.gateway,
                            "boot": batch.boot,
                            "seq": seq,
                            "received_at": message.appended_at,
                            "topic": message.topic,
                            "log_partition": message.partition,
                            "log_offset": message.offset,
                            "observed_date": datetime.fromtimestamp(
                                int(str(at_ms)) / 1000, UTC
                            ).date(),
                            "vehicle_bucket": int(vehicle[:2], 16) % 8,
                        }
                    )
                if len(rows) >= WRITE_RECORDS:
                    written += len(rows)
                    write()
    written += len(rows)
    if rows:
        write()
    return written


CONTENDERS: dict[str, Callable[[EmbeddedLog, Path], int]] = {
    "clearway": clearway,
    "one record at a time": one_by_one,
}


def _measure(name: str, log_file: Path, folder: Path, answers: multiprocessing.Queue) -> None:
    log = EmbeddedLog(log_file)
    started_s, cpu_s = time.perf_counter(), time.process_time()
    rows = CONTENDERS[name](log, folder)
    answers.put(
        {
            "rows": rows,
            "seconds": time.perf_counter() - started_s,
            "cpu_seconds": time.process_time() - cpu_s,
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_PER_MIB,
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    archive = arguments.data / "gps" / "sf_cabspotting" / f"cabspotting_{DAY}.tar.gz"
    spawn = multiprocessing.get_context("spawn")
    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        log_file = Path(folder) / "log.sqlite"
        log = EmbeddedLog(log_file)
        n_rows = fill(log, archive)
        log.close()
        for name in CONTENDERS:
            runs = []
            for number in range(ROUNDS):
                answers = spawn.Queue()
                lake = Path(folder) / f"{name.replace(' ', '-')}-{number}"
                process = spawn.Process(target=_measure, args=(name, log_file, lake, answers))
                process.start()
                runs.append(answers.get())
                process.join()
            assert all(run["rows"] == n_rows for run in runs)
            seconds = statistics.median(run["seconds"] for run in runs)
            cpu_s = statistics.median(run["cpu_seconds"] for run in runs)
            peak_mib = max(run["peak_mib"] for run in runs)
            results[name] = {
                "seconds": round(seconds, 2),
                "cpu_seconds": round(cpu_s, 2),
                "rows_per_s": round(n_rows / seconds),
                "peak_mib": round(peak_mib),
            }
            print(f"{name}: {results[name]}")
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    report = {
        "what": f"{n_rows} fixes of {DAY} from an embedded log into a Delta table",
        "rounds": f"median of {ROUNDS}; peak memory is the highest",
        "machine": machine,
        "load_before": os.getloadavg()[0],
        "versions": {name: metadata.version(name) for name in ("polars", "deltalake", "orjson")},
        "results": results,
    }
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
