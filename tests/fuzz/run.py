"""Feeds broken bytes to every parser: `make fuzz`.

    python tests/fuzz/run.py [--minutes 10] [TARGET …]

With atheris (a wheel for Python 3.11 to 3.13, not among the project's packages) the search is
guided by coverage; without it, good bytes are broken at random. What is found lies afterwards in
`.clearway/fuzz/TARGET/found`, and the command fails. Bytes that reach new code stay in `corpus`.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import random
import resource
import subprocess
import sys
import time
import traceback
from importlib.util import find_spec
from pathlib import Path

TESTS = Path(__file__).parents[1]
HOME = TESTS.parent / ".clearway" / "fuzz"

SLOWEST_S = 2.0
"""CPU time of one input, beyond which it is a finding. [s]"""

MEMORY_BYTES = 2 << 30
"""Address space beyond what the process has at its start. [B]"""

LONGEST_INPUT_BYTES = 8192
_NEVER_ENDS_S = 60


class Watched:
    """Runs inputs and keeps those that end in anything else than they may, once for each place."""

    def __init__(self, name: str) -> None:
        from fuzz.targets import TARGETS

        self._run = TARGETS[name].run
        self._found = HOME / name / "found"
        self._known: set[str] = set()
        self.n_inputs = 0

    def __call__(self, data: bytes) -> None:
        """Run one input."""
        self.n_inputs += 1
        began_s = time.process_time()
        try:
            self._run(data)
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is a finding
            frames = traceback.extract_tb(error.__traceback__)
            place = [frame for frame in frames if "clearway_" in frame.filename] or frames
            where = f"{Path(place[-1].filename).stem}-{place[-1].lineno}"
            self._keep(f"{type(error).__name__}-{where}", data, traceback.format_exc())
        took_s = time.process_time() - began_s
        if took_s > SLOWEST_S:
            self._keep("slow", data, f"{took_s:.1f} s")

    def _keep(self, what: str, data: bytes, why: str) -> None:
        if what in self._known:
            return
        self._known.add(what)
        self._found.mkdir(parents=True, exist_ok=True)
        (self._found / what).write_bytes(data)
        sys.stderr.write(f"FOUND {self._found / what}\n{why}\n")


def guided(name: str, seconds: int) -> None:
    """Search with atheris; does not return."""
    import atheris

    with atheris.instrument_imports(include=[f"clearway_{part}" for part in _PARTS]):
        watched = Watched(name)
    corpus = _corpus(name)
    _bound_memory()
    options = (
        f"-max_total_time={seconds}",
        f"-timeout={_NEVER_ENDS_S}",
        f"-max_len={LONGEST_INPUT_BYTES}",
        "-rss_limit_mb=0",
        f"-artifact_prefix={corpus.parent}/",
        "-print_final_stats=1",
        str(corpus),
    )
    atheris.Setup([sys.argv[0], *options], watched)
    atheris.Fuzz()


_PARTS = ("core", "edge", "ingest", "fleet", "models", "transforms", "cli")


def by_chance(name: str, seconds: int) -> None:
    """Break good bytes at random."""
    from fuzz.mutation import broken

    watched = Watched(name)
    good = [file.read_bytes() for file in sorted(_corpus(name).iterdir())]
    _bound_memory()
    chance = random.Random()
    ends_s = time.monotonic() + seconds
    while time.monotonic() < ends_s:
        watched(broken(good, chance))
    print(f"{watched.n_inputs:,} inputs", flush=True)


def _corpus(name: str) -> Path:
    from fuzz.targets import TARGETS, found

    folder = HOME / name / "corpus"
    folder.mkdir(parents=True, exist_ok=True)
    for data in (*TARGETS[name].seeds(), *(file.read_bytes() for file in found(name))):
        (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    return folder


def _bound_memory() -> None:
    status = Path("/proc/self/statm")
    if status.exists():
        pages = int(status.read_text().split()[0])
        limit = pages * resource.getpagesize() + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main() -> None:
    """Run the targets one after the other, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", help="all without any")
    parser.add_argument("--minutes", type=float, default=10.0, help="of each target")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    sys.path.insert(0, str(TESTS))
    seconds = round(options.minutes * 60)
    if options.here:
        logging.disable(logging.CRITICAL)
        search = by_chance if find_spec("atheris") is None else guided
        search(options.targets[0], seconds)
        return
    from fuzz.targets import TARGETS

    failed = []
    for name in options.targets or TARGETS:
        print(f"--- {name}", flush=True)
        command = [sys.executable, __file__, name, "--here", f"--minutes={options.minutes}"]
        ended = subprocess.run(command, check=False)
        if ended.returncode or list((HOME / name).glob("found/*")):
            failed.append(name)
    if failed:
        sys.exit(f"findings in {', '.join(failed)}, see {HOME}")


if __name__ == "__main__":
    main()
