"""What the centre keeps about its gateways: closed books, write-offs, sites, alarms."""

from __future__ import annotations

from dataclasses import replace

from clearway_core.contracts.columns import LAT_DEG, LON_DEG, choice, count, flag, instant, text
from clearway_core.contracts.field import Contract, DataType, Field

_GATEWAY = text("gateway", "Name of the gateway: one device.")
_WHO = text("decided_by", "Person who decided it.")
_WHY = text("reason", "Why, in that person's words.")


def _balance(name: str, description: str) -> Field:
    return Field(name=name, dtype=DataType.INT64, description=description)


BOOKS = Contract(
    name="books",
    version=1,
    description="The books of every gateway, stream and hour, closed against what the lake holds: "
    "read = stored + quarantined + on the way + spooled + dropped + missing. A row is a page; an "
    "hour in which the gateway's clock was set has several. The latest row of a page counts.",
    key=("gateway", "about_contract", "about_boot", "page"),
    fields=(
        _GATEWAY,
        text("about_contract", "Contract of the records, such as gps_ping/1."),
        count("about_boot", "Boot of the agent whose numbers the records have."),
        count("page", "Number of the page within contract and boot."),
        instant("hour_start", "Hour by the gateway's clock."),
        count("seq_first", "First record number of the page."),
        count("seq_next", "First record number after what the gateway has told of the page."),
        count("n_read", "Records that the gateway read, with those of n_untold."),
        count("n_stored", "Of those, records in their table."),
        count("n_quarantined", "Of those, records that broke a rule and are kept in quarantine."),
        count(
            "n_on_the_way",
            "Records that the log has taken, where ingest has not yet read the log that far.",
        ),
        count("n_spooled", "Records that wait on the gateway, less those that came since."),
        count(
            "n_dropped",
            "Records that the gateway gave up, all reasons, less those that had arrived after all.",
        ),
        text("dropped_by_reason", "JSON object: reason -> count, as the gateway told it."),
        _balance(
            "n_missing",
            "Records that nobody can account for; anything but 0 is an alarm. Negative: more "
            "arrived than were read.",
        ),
        count(
            "n_untold",
            "Numbers beside the page that no page tells, because the gateway's word was lost; "
            "they count as read.",
        ),
        _balance(
            "n_written_off",
            "Of the missing or waiting ones, those that a person wrote off; negative where a "
            "surplus was.",
        ),
        count("n_came_back", "Records that were written off and arrived after all."),
        count("n_unclean_stops", "Stops of the agent without notice."),
        count(
            "n_unclean_at_most",
            "Serial readings that those stops can have cost, at most; no part of n_read.",
        ),
        choice(
            "state",
            ("closed", "open", "difference", "written_off"),
            "Whether nothing is missing (closed), something waits or is on its way "
            "(open), something is missing (difference), or a person settled it (written_off).",
        ),
        flag("told_closed", "Whether the gateway said that the hour is over and nothing waits."),
        count("n_told_spooled", "Records that waited, by the gateway's latest word."),
        count("n_told_dropped", "Records given up, by the gateway's latest word."),
        text("received_json", "JSON list of the numbers that have arrived: [first, last], …."),
        instant("told_at", "When the log took the gateway's latest word about this page."),
        instant("computed_at", "When this row was computed; the latest of a page counts."),
    ),
)

BOOK_WRITE_OFFS = Contract(
    name="book_write_offs",
    version=1,
    description="Readings that a person wrote off: a lost card, a swapped or stolen device. A "
    "decision has a row for each page; nothing is ever changed or taken back.",
    fields=(
        text("write_off_id", "Identity of the decision."),
        _GATEWAY,
        text("about_contract", "Contract of the records."),
        count("about_boot", "Boot of the agent."),
        count("page", "Page of the books."),
        instant("hour_start", "Hour of the page."),
        _balance(
            "n_records",
            "Records written off; negative for a surplus, 0 where a page is only declared over.",
        ),
        _WHY,
        _WHO,
        instant("decided_at", "When."),
    ),
)

GATEWAY_SITES = Contract(
    name="gateway_sites",
    version=1,
    description="Which device served which site, and in which state, from when on; a swap adds a "
    "row, so that the site's series goes on.",
    fields=(
        text("site", "Site: a place at the street, independent of the device there."),
        text("site_name", "Its name for people."),
        LON_DEG,
        LAT_DEG,
        replace(_GATEWAY, nullable=True),
        choice(
            "state",
            ("planned", "active", "maintenance", "decommissioned"),
            "State from then on; alarms are sent about active sites only.",
        ),
        instant("valid_from_at", "From when on."),
        _WHY,
        _WHO,
        instant("decided_at", "When it was written down."),
    ),
)

GATEWAY_ALARMS = Contract(
    name="gateway_alarms",
    version=1,
    description="Alarms, all-clears and digests: what was decided to be said, and what became of "
    "saying it. Nothing else is remembered about them anywhere.",
    fields=(
        count("number", "Order in which rows were written; those of one commit have the same."),
        text("alarm_id", "Identity of the alarm; its all-clear has the same."),
        choice("kind", ("alarm", "all_clear", "digest"), "What is said."),
        choice(
            "step",
            ("decided", "sent", "failed", "narrowed"),
            "One of decided (written before anything is sent, and again when somebody "
            "takes up what was left unsent), sent, failed, and narrowed (the alarm is now about "
            "fewer places; nobody is told).",
        ),
        text("cause", "Short name of the cause, such as gateway_silent."),
        text("about_json", "JSON list of the sites, providers or contracts that it is about."),
        instant("since_at", "Since when the cause holds; of an all-clear, until when it held."),
        text("subject", "First line of what people are told."),
        text("words", "What people are told."),
        text(
            "channels",
            "Where it is to be sent, or by this row was sent, separated by a space; empty where "
            "nobody needs to be told because another alarm says it.",
        ),
        text("watcher", "Look that wrote the row."),
        text("error", "Why it could not be sent.", nullable=True),
        instant("written_at", "When the row was written."),
    ),
)
