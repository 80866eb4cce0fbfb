"""Pseudonyms: a vehicle's name becomes unreadable before anything touches the disk or the log.

A pseudonym is 128 bits of HMAC-SHA256 over ``vehicle|epoch``. The key is random, belongs to one
provider and one epoch (a local day that turns at 04:00), lies in a file of mode 0600 and is
destroyed: by a live gateway an hour after the epoch, by a replay after the retention of raw data.
Without a key, vehicle names are too few to hide behind a hash: all of them are tried in a second.
"""

from __future__ import annotations

import hmac
import logging
import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from clearway_core.clock import Clock, SystemClock, from_ms, to_ms
from clearway_core.contracts.wire import GPS_PING
from clearway_core.whole_file import replace_whole, sync_folder

log = logging.getLogger(__name__)

EPOCH_TURN = timedelta(hours=4)
"""Epochs turn at 04:00 local time: UTC midnight is the morning peak in Asia."""

RETENTION = timedelta(days=30)
"""How long raw GPS may be kept; a key outlives its epoch by as much, so that a vehicle of a file
that arrives late still gets its pseudonym."""

LIVE_GRACE = timedelta(hours=1)
"""How long a live gateway keeps a key after its epoch, or after it was made, whichever is later:
what vehicles send late mostly comes within minutes. Later still, it gets a fresh key."""

KEY_BYTES = 32
PSEUDONYM_BYTES = 16

_SLOT_MS = 900_000
"""Every time zone of today turns its day at a multiple of 15 minutes in UTC, so that all times of
such a slot share their epoch."""

_MAX_CACHED_NAMES = 50_000
_LATEST_MS = 4_102_444_800_000
_SUFFIX = ".key"
_FILE = re.compile(r"\.?(\d{4}-\d{2}-\d{2})\.(key|damaged|key\.[0-9a-f]{8})")
"""A key, one that could not be read, or one that a crash left half made."""
_OF_REPLAY = timedelta(days=2)
"""After the date began in UTC; by then its epoch is over in every time zone."""
_PROVIDER = re.compile(GPS_PING.field("provider").pattern or "")
_UNKNOWN_PROVIDER = "_unknown"


def pseudonym(key: bytes, vehicle: str, epoch: str) -> str:
    """Return 32 hex digits that stand for a vehicle within an epoch.

    Parameters
    ----------
    key
        Secret of the provider and epoch.
    vehicle
        The vehicle's own name.
    epoch
        Local date such as 2025-01-15.
    """
    digest = hmac.digest(key, f"{vehicle}|{epoch}".encode(), "sha256")
    return digest[:PSEUDONYM_BYTES].hex()


def epoch_of(instant_ms: int, zone: ZoneInfo) -> str:
    """Return the epoch of an instant: the local date, counted from 04:00 on.

    Parameters
    ----------
    instant_ms
        [ms since 1970]; a time outside of 1970-2100 is a broken clock and counts as its border.
    """
    inside_ms = min(max(instant_ms, 0), _LATEST_MS)
    local = from_ms(inside_ms).astimezone(zone).replace(tzinfo=None)
    return (local - EPOCH_TURN).date().isoformat()


def epoch_end(epoch: str, zone: ZoneInfo) -> datetime:
    """Return the instant from which on nothing belongs to an epoch: 04:00 of the next day, in UTC.

    Where the clocks are changed around 04:00 it is the later of its two readings.
    """
    turn = (
        datetime.combine(date.fromisoformat(epoch) + timedelta(days=1), time(), tzinfo=zone)
        + EPOCH_TURN
    )
    return max(turn.replace(fold=fold).astimezone(UTC) for fold in (0, 1))


class KeyRing:
    """The secret keys of one gateway, one file per provider and epoch.

    Parameters
    ----------
    folder
        Where the keys lie; created with mode 0700.
    clock
        Tells when a key has to go.
    retention
        How long a key outlives its epoch, and the moment in which it was made.
    zone
        Of a live gateway: whose 04:00 ends an epoch. None for recordings, of any zone and date.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock | None = None,
        *,
        retention: timedelta = RETENTION,
        zone: ZoneInfo | None = None,
    ) -> None:
        self._folder = folder
        self._clock = clock or SystemClock()
        self._retention = retention
        self._zone = zone
        self._unsaved: dict[Path, tuple[bytes, datetime]] = {}
        self.n_destroyed = 0

    def key(self, provider: str, epoch: str) -> bytes:
        """Return the key of an epoch, made and on disk before it is used for the first time.

        While the disk takes none (full, read-only), it is in memory only: readings go on, and a
        restart begins other pseudonyms.

        Parameters
        ----------
        provider
            A name that is none (it came from a file's column) shares the keys of the unknown.
        epoch
            Local date.
        """
        known = provider if _PROVIDER.fullmatch(provider) else _UNKNOWN_PROVIDER
        file = self._folder / known / f"{epoch}{_SUFFIX}"
        if file in self._unsaved:
            return self._unsaved[file][0]
        try:
            return _checked(file, bytes.fromhex(file.read_text(encoding="ascii")))
        except FileNotFoundError:
            return self._make(file)
        except ValueError:
            # Torn or foreign: nobody can know what it was. A new key is the safe answer.
            log.warning("pseudonym_key_unreadable", extra={"epoch": epoch, "provider": provider})
            with suppress(OSError):
                file.replace(file.with_suffix(".damaged"))
            return self._make(file)
        except OSError as error:
            log.error("pseudonym_key_not_read", extra={"epoch": epoch, "error": str(error)})  # noqa: TRY400 -- its text says all
            return self._make(file)

    def destroy_expired(self) -> int:
        """Delete every key whose epoch and retention are over; return how many.

        To be called while the clock is believed. A key made late, for fixes of an epoch that was
        over, lives for the retention from then on: else a replay that was interrupted could not go
        on under the same pseudonyms, and every fix of a late vehicle would be a vehicle of its own.
        """
        now = self._clock.now()
        gone = self._save_or_forget(now)
        for file in sorted(self._folder.glob("*/*")):
            found = _FILE.fullmatch(file.name)
            if found is None:
                continue
            half_made = found[2] not in {"key", "damaged"}
            try:
                made_at = datetime.fromtimestamp(file.stat().st_mtime, UTC)
                if half_made or self._is_over(found[1], made_at, now):
                    file.unlink()
                    # Else a power cut could bring it back.
                    sync_folder(file.parent)
                    gone += not half_made
            except OSError as error:
                log.error("pseudonym_key_not_destroyed", extra={"error": str(error)})  # noqa: TRY400
        if gone:
            self.n_destroyed += gone
            log.info("pseudonym_keys_destroyed", extra={"n_keys": gone})
        return gone

    def _save_or_forget(self, now: datetime) -> int:
        """Write what the disk did not take before; forget what is over meanwhile."""
        gone = 0
        for file, (key, made_at) in list(self._unsaved.items()):
            over = self._is_over(file.stem, made_at, now)
            with suppress(OSError):
                if not over:
                    self._write(file, key, made_at)
                del self._unsaved[file]
                gone += over
        return gone

    def _is_over(self, epoch: str, made_at: datetime, now: datetime) -> bool:
        """Return whether a key is not needed any more, by late fixes neither."""
        if made_at > now:
            # Made while the clock was wrong.
            made_at = datetime.fromtimestamp(0, UTC)
        try:
            day = date.fromisoformat(epoch)
        except ValueError:
            return True
        if self._zone is None:
            ended_at = datetime(day.year, day.month, day.day, tzinfo=UTC) + _OF_REPLAY
        elif epoch > epoch_of(to_ms(now), self._zone):
            # A vehicle whose clock is days ahead would keep one name until that day.
            ended_at = made_at
        else:
            ended_at = epoch_end(epoch, self._zone)
        return max(ended_at, made_at) + self._retention < now

    def _make(self, file: Path) -> bytes:
        key = secrets.token_bytes(KEY_BYTES)
        made_at = self._clock.now()
        try:
            self._write(file, key, made_at)
        except OSError as error:
            log.error("pseudonym_key_not_saved", extra={"error": str(error)})  # noqa: TRY400
            self._unsaved[file] = key, made_at
        return key

    def _write(self, file: Path, key: bytes, made_at: datetime) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace_whole(file, key.hex().encode(), modified_at_s=made_at.timestamp())


class Pseudonymiser:
    """Masks vehicles, a column at a time.

    Parameters
    ----------
    keys
        The gateway's keys.
    zone
        Whose 04:00 turns the epoch.
    """

    def __init__(self, keys: KeyRing, zone: ZoneInfo) -> None:
        self._keys = keys
        self._zone = zone
        self._epochs: dict[tuple[str, str], _Names] = {}
        self._slots: dict[tuple[str, int], _Names] = {}
        self._n_destroyed = keys.n_destroyed

    def mask(
        self,
        providers: Sequence[str | None],
        vehicles: Sequence[str],
        instants_ms: Sequence[int],
    ) -> tuple[list[str], list[str]]:
        """Return the pseudonym and the epoch of each record.

        Parameters
        ----------
        providers
            Who operates each vehicle; two fleets may use the same names.
        vehicles
            Raw names; they are not kept beyond this object's memory.
        instants_ms
            When each was observed. [ms since 1970]
        """
        if self._keys.n_destroyed != self._n_destroyed:
            # A key that is destroyed must not live on in here.
            self._n_destroyed = self._keys.n_destroyed
            self._forget()
        slots = [
            (provider or "", instant // _SLOT_MS)
            for provider, instant in zip(providers, instants_ms, strict=True)
        ]
        for slot in set(slots) - self._slots.keys():
            epoch = epoch_of(slot[1] * _SLOT_MS, self._zone)
            self._slots[slot] = self._names(slot[0], epoch)
        names = [self._slots[slot] for slot in slots]
        masked = [known[vehicle] for known, vehicle in zip(names, vehicles, strict=True)]
        epochs = [known.epoch for known in names]
        if sum(map(len, self._epochs.values())) + len(self._slots) > _MAX_CACHED_NAMES:
            self._forget()
        return masked, epochs

    def _forget(self) -> None:
        self._epochs.clear()
        self._slots.clear()

    def _names(self, provider: str, epoch: str) -> _Names:
        where = (provider, epoch)
        if where not in self._epochs:
            self._epochs[where] = _Names(self._keys.key(provider, epoch), epoch)
        return self._epochs[where]


class _Names(dict[str, str]):
    """Pseudonyms of one epoch, made when they are first asked for."""

    __slots__ = ("_key", "epoch")

    def __init__(self, key: bytes, epoch: str) -> None:
        super().__init__()
        self._key = key
        self.epoch = epoch

    def __missing__(self, vehicle: str) -> str:
        name = self[vehicle] = pseudonym(self._key, vehicle, self.epoch)
        return name


def _checked(file: Path, key: bytes) -> bytes:
    if len(key) != KEY_BYTES:
        message = f"{file} holds {len(key)} bytes, expected {KEY_BYTES}"
        raise ValueError(message)
    return key
