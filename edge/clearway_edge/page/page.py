"""What the gateway's page shows, as plain values: the same for a phone and for a program."""

from __future__ import annotations

from dataclasses import asdict

from clearway_edge.condition.snapshot import Snapshot
from clearway_edge.page.go_no_go import checks_of, headline, is_go


def page_values(seen: Snapshot) -> dict[str, object]:
    """Return the answer of ``/status.json``; it holds no secret, no vehicle and no position."""
    checks = checks_of(seen)
    return {
        "go": is_go(checks),
        "headline": headline(checks),
        "gateway": seen.gateway,
        "site": seen.site,
        "seen_at": seen.seen_at.isoformat(timespec="seconds"),
        "uptime_s": round(seen.uptime_s, 1),
        "checks": [asdict(check) for check in checks],
        "confirmed": [asdict(one) for _, one in sorted(seen.confirmed.items())],
        "forwarder_state": seen.forwarder_state,
        "n_spooled": seen.n_spooled,
        "books": {
            contract: {
                "read": account.read,
                "delivered": account.delivered,
                "spooled": account.spooled,
                "dropped": dict(account.dropped),
            }
            for contract, account in sorted(seen.accounts.items())
        },
    }
