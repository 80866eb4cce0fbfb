"""Reads what the lake confirms, while somebody looks at the gateway's page.

A broker that has taken a reading is not the lake. Receipts of all gateways share one topic, so
they are read only while they are wanted, and only the newest of them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from clearway_core.clock import Clock, to_ms
from clearway_core.errors import ClearwayError, ContractViolation
from clearway_core.stream.log import Log, TopicPartition
from clearway_core.stream.receipts import RECEIPTS_TOPIC, Receipt, receipt_of
from clearway_edge.page.commit_times import CommitTimes

log = logging.getLogger(__name__)

WANTED_S = 60.0
"""How long reading goes on after the last look."""

NEWEST = 500
"""Receipts of a partition that are read at most of those from before the look: sixty gateways send
some in every commit of the lake, and a technician's link may be a slow one."""

_READ_TIMEOUT_S = 1.0
_PAUSE_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """The newest reading of a stream that the lake has confirmed.

    Parameters
    ----------
    contract, seq
        Which reading.
    n_stored
        Records of that commit that are in their table; the others are in quarantine, or doubles.
    committed_at_ms
        By the lake's clock. [ms since 1970]
    after_s
        From the gateway's disk to the lake, or to the gateway's hearing of it where clocks cannot
        be compared; None if that cannot be told any more. [s]
    """

    contract: str
    seq: int
    n_stored: int
    committed_at_ms: int
    after_s: float | None


class LakeReceipts:
    """The receipts of one start of a gateway.

    Parameters
    ----------
    open_log
        Opens a connection of its own.
    gateway
        Whose receipts.
    clock
        Tells how long a reading took.
    """

    def __init__(self, open_log: Callable[[], Log], *, gateway: str, clock: Clock) -> None:
        self._open_log = open_log
        self._gateway = gateway
        self._clock = clock
        self._commit_times = CommitTimes()
        self._lock = threading.Lock()
        self._confirmed: dict[str, Confirmed] = {}
        self._wanted = threading.Event()
        self._wanted_until_s = 0.0
        self._boot: int | None = None
        self.error = ""

    def committed(self, boot: int, next_seq: Mapping[str, int]) -> None:
        """Note what this start of the gateway has put on the disk.

        Parameters
        ----------
        boot
            The start.
        next_seq
            First number not used yet, by contract.
        """
        self._boot = boot
        self._commit_times.committed(next_seq, round(self._clock.monotonic_s() * 1000))

    def want(self) -> None:
        """Say that somebody looks now."""
        self._wanted_until_s = self._clock.monotonic_s() + WANTED_S
        self._wanted.set()

    def confirmed(self) -> dict[str, Confirmed]:
        """Return the newest confirmed reading of this start, by contract."""
        with self._lock:
            return dict(self._confirmed)

    def run(self, stop: threading.Event) -> None:
        """Read while it is wanted, until `stop` is set; `want` ends a wait."""
        while not stop.is_set():
            if not self._is_wanted():
                self._wanted.wait(_PAUSE_S)
                self._wanted.clear()
                continue
            try:
                self._follow(stop)
            except ClearwayError as error:
                self.error = str(error)
            except Exception as error:
                # The page must say it; the readings of the sensors go on in their own threads.
                log.exception("receipts_failed")
                self.error = f"{type(error).__name__}: {error}"
            if not stop.is_set():
                stop.wait(_PAUSE_S if self.error else 0)

    def _is_wanted(self) -> bool:
        return self._clock.monotonic_s() < self._wanted_until_s

    def _follow(self, stop: threading.Event) -> None:
        source = self._open_log()
        try:
            positions: dict[TopicPartition, int] = {}
            while self._is_wanted() and not stop.is_set():
                if not positions:
                    positions = _newest(source)
                found = source.read(positions, timeout_s=_READ_TIMEOUT_S) if positions else ()
                for message in found:
                    place = TopicPartition(message.topic, message.partition)
                    positions[place] = message.offset + 1
                    if message.key == self._gateway.encode():
                        self._take(receipt_of(message))
                self.error = ""
                if not positions:
                    stop.wait(_READ_TIMEOUT_S)
        except ContractViolation as error:
            log.warning("receipt_unreadable", extra={"error": str(error)})
            raise
        finally:
            source.close()

    def _take(self, receipt: Receipt) -> None:
        if receipt.gateway != self._gateway or receipt.boot != self._boot:
            return
        with self._lock:
            known = self._confirmed.get(receipt.contract)
            if known is not None and known.seq >= receipt.seq_last:
                return
            self._confirmed[receipt.contract] = Confirmed(
                contract=receipt.contract,
                seq=receipt.seq_last,
                n_stored=receipt.n_stored,
                committed_at_ms=receipt.committed_at_ms,
                after_s=self._after_s(receipt),
            )

    def _after_s(self, receipt: Receipt) -> float | None:
        put_ms = self._commit_times.committed_at_ms(receipt.contract, receipt.seq_last)
        if put_ms is None:
            return None
        heard_after_ms = round(self._clock.monotonic_s() * 1000) - put_ms
        by_wall_clocks_ms = heard_after_ms - (to_ms(self._clock.now()) - receipt.committed_at_ms)
        # The lake committed after we spooled and before we heard of it; otherwise one of the two
        # wall clocks is wrong, and only our own waiting is certain.
        took_ms = by_wall_clocks_ms if 0 <= by_wall_clocks_ms <= heard_after_ms else heard_after_ms
        return took_ms / 1000


def _newest(source: Log) -> dict[TopicPartition, int]:
    first: Mapping[TopicPartition, int] = source.first_offsets(RECEIPTS_TOPIC)
    return {
        place: max(first.get(place, 0), end - NEWEST)
        for place, end in source.end_offsets(RECEIPTS_TOPIC).items()
    }
