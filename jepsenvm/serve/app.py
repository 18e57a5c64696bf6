"""The routes of `jepsenvm serve`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Final
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from jepsenvm.campaign import comparison
from jepsenvm.campaign.folder import Folder
from jepsenvm.campaign.merge import merged
from jepsenvm.campaign.page import page as campaign_page
from jepsenvm.campaign.summary import Summary
from jepsenvm.errors import JepsenvmError
from jepsenvm.experiment.store import HISTORY, LOG
from jepsenvm.serve import pages
from jepsenvm.serve.access import Access, Key, SafeHeaders
from jepsenvm.serve.catalogue import Catalogue
from jepsenvm.serve.follow import POLL_S, LogTail, State, follow
from jepsenvm.serve.missing import missing_of
from jepsenvm.serve.plain_files import odd_files
from jepsenvm.serve.query import Query, Row, choices, select
from jepsenvm.serve.reports import Reports
from jepsenvm.serve.run_comparison import compare_figures, compare_settings
from jepsenvm.serve.run_facts import RunFacts
from jepsenvm.serve.run_reader import RunReader
from jepsenvm.serve.run_zip import names_in_zip, run_zip

REPORT_POLICY: Final = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""The policy of reports. A stored report may come from elsewhere, so its scripts run in an origin
of their own: they can read nothing else that is served here, and load nothing."""

CAMPAIGN_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)

ASSETS: Final = {
    "report.css": ("jepsenvm.report", "text/css"),
    "serve.css": ("jepsenvm.serve", "text/css"),
    "follow.js": ("jepsenvm.serve", "text/javascript"),
}
"""The files of pages: the package that has each, and its type."""

COMPARED: Final = 2
"""The number of runs or campaigns that are compared."""


RECORD_DEPTH: Final = 3
"""How deep in a campaign the files are that its page is made of, as ``runs/ID/record.json``. The
runs are below, each in a store whose ``latest`` is a symbolic link."""


def application(
    catalogue: Catalogue,
    *,
    hosts: Sequence[str],
    key: Key | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> Starlette:
    """Return the application.

    ``hosts``     the names of this server that requests may have in their ``Host`` header; ``*``
                  for any. Others come from a page that made its own name lead here (DNS rebinding).
    ``key``       the token that every request must have; None for none.
    ``stopping``  returns whether those who follow a run must leave, because the server ends.
    """
    site = _Site(catalogue, stopping)
    app = Starlette(
        routes=[
            Route("/", site.runs),
            Route("/compare", site.compare_runs),
            Route("/compare-campaigns", site.compare_campaigns),
            Route("/campaigns/{campaign}/", site.campaign),
            Route("/assets/{name}", _asset),
            Route("/{key:path}/report.html", site.report),
            Route("/{key:path}/run.zip", site.zip),
            Route("/{key:path}/events", site.events),
            Route("/{key:path}/", site.run),
        ],
        middleware=[
            Middleware(SafeHeaders),
            Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False),
            Middleware(Access, key=key),
        ],
        exception_handlers=dict.fromkeys((HTTPException, JepsenvmError, OSError), _problem),
    )
    # Every link has its slash. Without it, an unknown address is 404 at once.
    app.router.redirect_slashes = False
    return app


class _Site:
    def __init__(self, catalogue: Catalogue, stopping: Callable[[], bool]) -> None:
        self._catalogue = catalogue
        self._stopping = stopping
        self._reader = RunReader()
        self._reports = Reports()

    async def runs(self, request: Request) -> Response:
        return await run_in_threadpool(self._runs, Query.of(dict(request.query_params)))

    def _runs(self, query: Query) -> Response:
        now = time.time()
        found = self._reader.facts(self._catalogue.runs())
        rows = [Row(run, run.state(now)) for run in found]
        return _page(
            "runs.html.j2",
            query=query,
            selection=select(rows, query),
            choices=choices(rows),
            total=len(rows),
            campaigns=self._catalogue.campaign_names(),
            store=self._catalogue.store,
        )

    async def run(self, request: Request) -> Response:
        run = await self._asked_run(request)
        return await run_in_threadpool(_run_page, run)

    async def report(self, request: Request) -> Response:
        run = await self._asked_run(request)
        make = partial(self._reports.report, run)
        content = iter(()) if request.method == "HEAD" else await run_in_threadpool(make)
        headers = {"Content-Security-Policy": REPORT_POLICY}
        return _stream(request, content, "text/html", headers)

    async def zip(self, request: Request) -> Response:
        place = (await self._asked_run(request)).place
        file = quote(f"{place.name}-{place.time}.zip", safe="")
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{file}"}
        return _stream(request, run_zip(place), "application/zip", headers)

    async def events(self, request: Request) -> Response:
        run = await self._asked_run(request)
        place = run.place
        if not (place.folder / LOG).is_file():
            raise HTTPException(404, f"There is no {LOG}.")
        last = request.headers.get("Last-Event-ID", "")
        tail = LogTail.at_the_end(place.folder / LOG)
        if last.isascii() and last.isdigit() and len(last) < len(str(2**63)):
            tail.position = int(last)

        def state() -> State:
            return _state(next(iter(self._reader.facts([place])), run))

        async def pause() -> bool:
            await asyncio.sleep(POLL_S)
            if self._stopping() or not place.folder.exists():
                return False
            return not await request.is_disconnected()

        return _stream(request, follow(tail, state, pause), "text/event-stream", {})

    async def campaign(self, request: Request) -> Response:
        summary = await run_in_threadpool(self._summary, request.path_params["campaign"])
        return HTMLResponse(
            campaign_page(summary), headers={"Content-Security-Policy": CAMPAIGN_POLICY}
        )

    async def compare_runs(self, request: Request) -> Response:
        keys = request.query_params.getlist("run")
        _require_two(keys, "runs")
        before, after = [await run_in_threadpool(self._run, key) for key in keys]
        now = time.time()
        return _page(
            "compare_runs.html.j2",
            runs=[Row(run, run.state(now)) for run in (before, after)],
            missing=[missing_of(run, run.state(now)) for run in (before, after)],
            settings=compare_settings(before, after),
            figures=compare_figures(before, after),
        )

    async def compare_campaigns(self, request: Request) -> Response:
        names = request.query_params.getlist("campaign")
        _require_two(names, "campaigns")
        before, after = [await run_in_threadpool(self._summary, name) for name in names]
        found = comparison.differences(before, after)
        return _page("compare_campaigns.html.j2", names=names, found=found, sides=(before, after))

    async def _asked_run(self, request: Request) -> RunFacts:
        return await run_in_threadpool(self._run, request.path_params["key"])

    def _run(self, key: str) -> RunFacts:
        place = self._catalogue.run(key)
        found = self._reader.facts([place] if place is not None else [])
        if not found:
            raise HTTPException(404, "There is no such run.")
        _require_plain(found[0].place.folder, "run")
        return found[0]

    def _summary(self, name: str) -> Summary:
        folder = self._catalogue.campaign(name)
        if folder is None:
            raise HTTPException(404, "There is no such campaign.")
        _require_plain(folder, "campaign", RECORD_DEPTH)
        return merged([Folder(folder)])


def _run_page(run: RunFacts) -> Response:
    state = run.state(time.time())
    return _page(
        "run.html.j2",
        row=Row(run, state),
        missing=missing_of(run, state),
        files=names_in_zip(run.place),
        has_log=(run.place.folder / LOG).is_file(),
    )


def _require_plain(folder: Path, what: str, depth: int | None = None) -> None:
    """Refuse symbolic links, which may leave the store, and pipes, which may block."""
    odd = next(odd_files(folder, depth), None)
    if odd is not None:
        raise HTTPException(422, f"{odd} is no file, so this {what} is not read: remove it.")


def _state(run: RunFacts) -> State:
    history = run.place.folder / HISTORY
    return {
        "state": run.state(time.time()),
        "verdict": run.verdict,
        "history-bytes": history.stat().st_size if history.is_file() else 0,
    }


def _require_two(given: Sequence[str], what: str) -> None:
    if len(given) != COMPARED:
        raise HTTPException(400, f"Select two {what} to compare; {len(given)} are selected.")


def _page(template: str, status: int = 200, **values: object) -> Response:
    return HTMLResponse(pages.rendered(template, **values), status)


def _stream(
    request: Request,
    content: Iterator[bytes] | AsyncIterator[str],
    media_type: str,
    headers: dict[str, str],
) -> Response:
    """Return a response that is sent while it is made. HEAD makes nothing."""
    if request.method == "HEAD":
        return Response(headers=headers, media_type=media_type)
    return StreamingResponse(content, headers=headers, media_type=media_type)


async def _asset(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in ASSETS:
        raise HTTPException(404, "There is no such file.")
    package, media_type = ASSETS[name]
    content = files(package).joinpath("assets", name).read_bytes()
    return Response(content, media_type=media_type)


async def _problem(_request: Request, problem: Exception) -> Response:
    """Answer with the text of a problem. What cannot be read is no error of the server."""
    if isinstance(problem, HTTPException):
        return _page("problem.html.j2", problem.status_code, text=problem.detail)
    return _page("problem.html.j2", 422, text=str(problem))
