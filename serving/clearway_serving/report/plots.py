"""Small drawings inside the page, as SVG without scripts."""

from __future__ import annotations

from markupsafe import Markup

_INK, _FAINT, _BAND = "#14222c", "#8b98a1", "#e6f0f3"
_CHANGE_REACH = 0.4
"""Changes beyond 40 % are drawn at the edge. [1]"""


def change_plot(change: float, low: float, high: float, band: float) -> Markup:
    """Return the change with its interval on a scale, the band that does not matter shaded."""
    reach = min(_CHANGE_REACH, max(0.1, abs(low), abs(high)) * 1.1)

    def x(value: float) -> float:
        return 500 + 470 * max(-1.0, min(1.0, value / reach))

    ticks = [-reach / 1.1, 0.0, reach / 1.1]
    marks = "".join(
        f'<line x1="{x(each):.1f}" x2="{x(each):.1f}" y1="22" y2="50" stroke="{_FAINT}" '
        f'stroke-width="1"/><text x="{x(each):.1f}" y="68" font-size="15" fill="#495965" '
        f'text-anchor="middle">{_signed(each)}</text>'
        for each in ticks
    )
    return Markup(  # noqa: S704 -- made of numbers only
        '<svg class="plot" viewBox="0 0 1000 72" preserveAspectRatio="xMidYMid meet" role="img" '
        f'aria-label="{_signed(change)} ({_signed(low)}, {_signed(high)})">'
        f'<rect x="{x(-band):.1f}" width="{x(band) - x(-band):.1f}" y="14" height="38" '
        f'fill="{_BAND}"/><line x1="30" x2="970" y1="36" y2="36" stroke="#dde3e7" '
        f'stroke-width="1"/>{marks}<line x1="{x(low):.1f}" x2="{x(high):.1f}" y1="36" y2="36" '
        f'stroke="{_INK}" stroke-width="4"/><circle cx="{x(change):.1f}" cy="36" r="8" '
        f'fill="{_INK}"/></svg>'
    )


def time_bar(
    mean: float, low: float, high: float, *, free_flow: float | None, longest: float
) -> Markup:
    """Return a corridor's time with interval and free flow; all bars of a table share a scale."""

    def x(value: float) -> float:
        return 2 + 116 * min(1.0, value / longest)

    tick = (
        ""
        if free_flow is None
        else f'<rect x="{x(free_flow) - 0.8:.1f}" y="1" width="1.6" height="12" fill="#0b4f67"/>'
    )
    return Markup(  # noqa: S704 -- made of numbers only
        '<svg class="bar" viewBox="0 0 120 14" aria-hidden="true">'
        f'<line x1="2" x2="118" y1="7" y2="7" stroke="#dde3e7" stroke-width="1"/>{tick}'
        f'<line x1="{x(low):.1f}" x2="{x(high):.1f}" y1="7" y2="7" stroke="#ab3049" '
        f'stroke-width="2.2"/><circle cx="{x(mean):.1f}" cy="7" r="3" fill="#ab3049"/></svg>'
    )


def _signed(value: float) -> str:
    return f"{value * 100:+.0f} %".replace("+0 %", "0 %").replace("-", "\N{MINUS SIGN}")
