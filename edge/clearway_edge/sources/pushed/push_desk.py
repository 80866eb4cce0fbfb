"""Who may push what: decides about requests and hands them to the source, one after the other."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from clearway_core.settings import Secret
from clearway_edge.rows.profile import FileKind
from clearway_edge.sources.mapping import Mapped, RowMapping
from clearway_edge.sources.pushed.push_memory import Known, RequestMemory, digest_of
from clearway_edge.sources.pushed.push_server import Answer, Head, refusal
from clearway_edge.sources.tokens import bearer, same

TELEMETRY = "/telemetry"
"""MDS 2.0.2 vehicle telemetry."""
READINGS = "/readings"
"""Rows by the sender's source profile."""

WAITING = 16
"""Requests that wait to be read; one more is told to come again."""

_COMMIT_S = 25.0
"""How long a sender waits for its readings to be on the disk. [s] Usually 0.1."""

_JSON_TYPES = ("application/json", "application/vnd.mds+json")
_TYPES: Mapping[FileKind, tuple[str, ...]] = {
    FileKind.CSV: ("text/csv",),
    FileKind.JSONL: ("application/x-ndjson", "application/jsonl"),
    FileKind.JSON: _JSON_TYPES,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Somebody who may push.

    Parameters
    ----------
    provider
        Whose vehicles they are.
    token
        Belongs to this sender alone.
    path
        `TELEMETRY` or `READINGS`.
    mapping
        How its rows are read.
    """

    provider: str
    token: Secret
    path: str
    mapping: RowMapping

    @property
    def types(self) -> tuple[str, ...]:
        """Content types that it may send."""
        return _TYPES[self.mapping.profile.format.kind]


@dataclass(slots=True)
class Job:
    """A request between its sender and the outbox.

    Parameters
    ----------
    repeated
        Whether it is stored already: then it is only counted again for the answer.
    """

    sender: Sender
    body: bytes
    repeated: bool
    mapped: Mapped = field(default_factory=Mapped)
    accepted: int = 0
    stored: bool | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def settle(self, stored: bool) -> None:  # noqa: FBT001 -- as an intake calls it
        """Let the sender be told whether its readings are on the disk."""
        self.stored = stored
        self.done.set()


class FleetDesk:
    """Decides about requests of fleets.

    Parameters
    ----------
    senders
        Who may push.
    memory
        Which requests are stored already.
    """

    def __init__(self, senders: Sequence[Sender], memory: RequestMemory) -> None:
        self._senders = senders
        self._memory = memory
        self.jobs: queue.Queue[Job] = queue.Queue(WAITING)

    def refused(self, head: Head) -> Answer | None:
        """Return why a request is not even read, or None."""
        paths = sorted({sender.path for sender in self._senders})
        if head.path not in paths:
            return refusal(404, f"expected one of {', '.join(paths)}")
        if head.method != "POST":
            return refusal(405, "expected POST", Allow="POST")
        sender = self._sender(head)
        if sender is None:
            error = "expected `Authorization: Bearer` with the token of a sender"
            return refusal(401, error, WWW_Authenticate="Bearer")
        if sender.path != head.path:
            return refusal(403, f"this token may push to {sender.path} only")
        given = head.headers.get("content-type", "").partition(";")[0].strip().lower()
        if given not in sender.types:
            return refusal(415, f"expected Content-Type {' or '.join(sender.types)}")
        return None

    def take(self, head: Head, body: bytes) -> Answer:
        """Return the answer to a request once its readings are on the disk, or cannot be."""
        sender = self._sender(head)
        if sender is None:  # `refused` has looked already
            return refusal(401, "expected the token of a sender")
        digest = digest_of(sender.provider, head.path, body)
        known = self._memory.begin(digest)
        if known is Known.UNDER_WAY:
            return _later("the same request is just being stored", retry_after_s=1)
        job = Job(sender, body, repeated=known is Known.STORED)
        try:
            self.jobs.put_nowait(job)
        except queue.Full:
            self._forget(job, digest)
            return _later("too many requests wait", retry_after_s=5)
        if not job.done.wait(_COMMIT_S):
            threading.Thread(target=self._finish, args=(job, digest), daemon=True).start()
            error = "the readings are not on the disk yet: repeat the request, nothing doubles"
            return refusal(503, error, Retry_After="10")
        self._finish(job, digest)
        return _answer(job)

    def _finish(self, job: Job, digest: bytes) -> None:
        job.done.wait()
        if job.stored and not job.repeated:
            self._memory.stored(digest)
        else:
            self._forget(job, digest)

    def _forget(self, job: Job, digest: bytes) -> None:
        if not job.repeated:
            self._memory.given_up(digest)

    def _sender(self, head: Head) -> Sender | None:
        token = bearer(head.headers.get("authorization", ""))
        # All of them are compared, so that the time does not tell which one was near.
        found = [sender for sender in self._senders if same(sender.token, token or "")]
        return found[0] if found and token is not None else None


def _later(error: str, *, retry_after_s: int) -> Answer:
    return refusal(429, error, Retry_After=str(retry_after_s))


def _answer(job: Job) -> Answer:
    if job.stored is None:
        return refusal(503, "the gateway is stopping: repeat the request", Retry_After="10")
    if not job.stored:
        return _later("the outbox is full", retry_after_s=30)
    dropped = Counter({reason: n for (_, reason), n in job.mapped.dropped.items()})
    body: dict[str, object] = {
        "accepted": job.accepted,
        "dropped": dict(dropped),
        "set_to_null": dict(job.mapped.nulled),
        "faults": [str(fault) for fault in job.mapped.faults],
        "repeated": job.repeated,
    }
    if job.sender.path == TELEMETRY:
        # The bulk answer of MDS; a failed item is named by its line, never repeated.
        body["total"] = job.accepted + dropped.total()
        body["success"] = job.accepted
        body["failures"] = [
            {"error": "bad_param", "error_description": str(fault)} for fault in job.mapped.faults
        ]
    if job.accepted:
        return Answer(status=200, body=body)
    error = "none of the records can be used, see faults" if dropped else "expected records"
    return Answer(status=400, body={"error": error, **body})
