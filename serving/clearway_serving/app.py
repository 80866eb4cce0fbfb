"""The web application: read-only API, static pages, strict headers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from clearway_core.city import City
from clearway_core.errors import UsageError
from clearway_core.lake import Lake
from clearway_serving.published import NothingPublished, PublishedTables
from clearway_serving.routes import air, congestion, corridors, meta, proposals
from clearway_serving.security import LOOPBACK_NAMES, KnownHosts, SecurityHeaders
from clearway_serving.site import Site

STATIC = Path(__file__).parent / "static"
_COMPRESS_ABOVE_BYTES = 1_000
"""Below this a packet carries the answer either way."""

_PAGES = {
    "/": "map.html",
    "/proposals": "proposals.html",
    "/proposals/{proposal_id}": "proposal.html",
}


def create_app(
    lake: Lake,
    *,
    city: City | None = None,
    internal: bool = False,
    live: bool = False,
    host_names: Sequence[str] = LOOPBACK_NAMES,
    approval_url: str | None = None,
) -> FastAPI:
    """Return the application over one lake.

    Parameters
    ----------
    lake
        Where the tables are; they are only read.
    city
        Names, clock and base map; without it times are UTC and cells have no names.
    internal
        Show the newest values without quality gate and release gate, to this machine only.
    live
        Also show days that are not settled for release yet.
    host_names
        Names that the server answers to, without port.
    approval_url
        Where people approve proposals with their own accounts; the proposal page links to it.
    """
    site = Site(
        published=PublishedTables(lake, internal=internal, live=live),
        city=city,
        approval_url=approval_url,
    )
    app = FastAPI(
        title="Clearway",
        summary="Congestion, air quality and charge proposals of one city. Read only.",
        openapi_url="/api/openapi.json",
        docs_url=None,  # that page loads its scripts from elsewhere
        redoc_url=None,
    )
    app.add_exception_handler(NothingPublished, _not_published)
    app.add_exception_handler(UsageError, _wrong_request)
    for subject in (meta, congestion, corridors, air, proposals):
        app.include_router(subject.router(site))
    for route, page in _PAGES.items():
        app.add_api_route(route, _page(page), methods=["GET", "HEAD"], include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_middleware(GZipMiddleware, minimum_size=_COMPRESS_ABOVE_BYTES, compresslevel=6)
    app.add_middleware(KnownHosts, names=host_names, loopback_only=internal)
    app.add_middleware(SecurityHeaders)
    return app


def _not_published(request: Request, nothing: Exception) -> Response:
    del request
    return JSONResponse({"detail": str(nothing)}, status_code=404)


def _wrong_request(request: Request, wrong: Exception) -> Response:
    del request
    return JSONResponse({"detail": str(wrong)}, status_code=422)


def _page(name: str) -> Callable[[], FileResponse]:
    def page() -> FileResponse:
        return FileResponse(STATIC / name, media_type="text/html; charset=utf-8")

    return page
