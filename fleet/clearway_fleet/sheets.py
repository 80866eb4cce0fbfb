"""What is printed: labels for the boxes, and a list to tick. No secret is on paper."""

from __future__ import annotations

import html
from collections.abc import Sequence
from importlib import resources

import segno

from clearway_fleet.device_settings import Device

_PAGE_PORT = 8470
_STEPS = ("card written", "key signed", "put up", "PIN noted", "GO")


def page_address(gateway: str) -> str:
    """Return where a phone in the same network finds the device's page."""
    return f"http://{gateway}.local:{_PAGE_PORT}/"


def labels_html(devices: Sequence[Device]) -> str:
    """Return labels to print on A4, 3 x 8 of 70 x 35 mm on a page, in the order of the list."""
    return _sheet("Labels", f'<div class="labels">{"".join(map(_label, devices))}</div>')


def checklist_html(devices: Sequence[Device]) -> str:
    """Return a list of all devices to tick while they are put up."""
    steps = "".join(f'<th class="tick">{step}</th>' for step in _STEPS)
    rows = "".join(
        f"<tr><td>{_text(device.gateway)}</td>"
        f"<td>{_text(device.plan.site_name)}<br>{_text(device.plan.site)}</td>"
        f"<td>{_text(', '.join(wish.kind for wish in device.plan.sources))}</td>"
        f"{'<td></td>' * len(_STEPS)}</tr>"
        for device in devices
    )
    return _sheet(
        "Checklist",
        f"<main><h1>{len(devices)} gateways</h1><p>Card written: image, then this device's folder "
        "copied to the boot partition as <b>clearway</b>. Key signed: the request of the device "
        "went to the certificate authority and its certificate came back. GO: the page on the "
        "phone says GO, which it does only after the lake has confirmed a reading; then "
        "<code>clearway gateway site set SITE --state active</code>.</p>"
        f"<table><thead><tr><th>Device</th><th>Site</th><th>Sources</th>{steps}</tr></thead>"
        f"<tbody>{rows}</tbody></table></main>",
    )


def _label(device: Device) -> str:
    address = page_address(device.gateway)
    code = segno.make(address, error="m", micro=False).svg_inline(omitsize=True, border=2)
    return (
        f'<section class="label">{code}<div><p><b>{_text(device.plan.site_name)}</b></p>'
        f"<p>{_text(device.plan.site)} · {_text(device.gateway)}</p>"
        f'<p class="address">{_text(address)}</p>'
        '<p>PIN: <span class="pin">&nbsp;</span></p></div></section>'
    )


def _sheet(title: str, body: str) -> str:
    style = template("sheet.css")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{style}</style></head><body>{body}</body></html>\n"
    )


def template(name: str) -> str:
    """Return a file of `templates/`."""
    return (resources.files("clearway_fleet") / "templates" / name).read_text(encoding="utf-8")


def _text(text: str) -> str:
    return html.escape(text)
