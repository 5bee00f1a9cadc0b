"""The composition root: settings, stores, services and the aiohttp application; the only wiring on the box."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from enum import Enum

from aiohttp import web

from content_packs.base import ids, sockets
from content_packs.base.address import EVERYWHERE, open_address, own_address
from content_packs.base.clock import MachineClock, SystemClock
from content_packs.base.errors import N_, EdgeboxError
from content_packs.base.starting import folder_errors, hold_lock
from edgebox.content.app import serving_content
from edgebox.control import socket as control
from edgebox.http.guard import guard, set_security_headers
from edgebox.http.routes import add_routes
from edgebox.http.xapi.answers import set_record_headers
from edgebox.jobs import Jobs
from edgebox.keys import BOX, Box
from edgebox.parts import open_exchange, open_packs, open_records
from edgebox.services.hand_ins import HandIns
from edgebox.services.health import Health
from edgebox.services.identity import open_identity
from edgebox.services.indexing import Indexing
from edgebox.services.introducing import Introducing
from edgebox.services.library import Library
from edgebox.services.line import Line
from edgebox.services.link_watch import watching_link
from edgebox.services.marks import Marks
from edgebox.services.meter import Meter
from edgebox.services.neighbours import finding_neighbours
from edgebox.services.own_lessons import OwnLessons
from edgebox.services.pdf_pages import PdfPages
from edgebox.services.record_check import RecordCheck
from edgebox.services.signing_in import SigningIn
from edgebox.services.teaching import Teaching
from edgebox.services.timekeeping import Timekeeping
from edgebox.services.trust import Trust
from edgebox.settings import Settings, prepare_folders
from edgebox.store.database import Database
from edgebox.store.reserve import Reserve
from edgebox.store.stamping import put_origin

KEEPALIVE_SECONDS = 20.0
LINGER_SECONDS = 5.0
SHUTDOWN_SECONDS = 2.0
BODY_MAX_BYTES = 1024 * 1024
_NAME_BYTES = 16


class BoxBusy(EdgeboxError):
    """Another program holds the data folder."""

    code = "box.busy"
    status = 503
    exit_code = 62
    retryable = True
    sentence = N_("Another Edgebox is using the folder {folder}.")
    remedy = N_("Stop it first, or choose another folder with --data.")


@contextmanager
def hold_data(settings: Settings) -> Iterator[None]:
    """Take the lock of the data folder, so that two writers never meet.

    Raises:
        BoxBusy: somebody else holds it.
        FolderUnusable: it cannot be made or written.
    """
    with folder_errors(settings.data):
        prepare_folders(settings)
    with hold_lock(settings.data / "box.lock", BoxBusy(folder=str(settings.data))):
        yield


@asynccontextmanager
async def open_box(settings: Settings, machine: MachineClock | None = None) -> AsyncIterator[Box]:
    """Open everything a box is made of, and close it in the reverse order."""
    async with AsyncExitStack() as stack:
        stack.enter_context(hold_data(settings))
        with folder_errors(settings.keys):
            identity = await asyncio.to_thread(open_identity, settings.keys)
        reserve = Reserve(settings.data / "reserve", settings.reserve_bytes)
        database = await asyncio.to_thread(Database, settings.data / "box.db", reserve)
        stack.push_async_callback(asyncio.to_thread, database.close)
        await database.write(lambda connection: put_origin(connection, identity.box_id))
        timekeeping = await Timekeeping.open(database, machine or SystemClock())
        clock = timekeeping.clock
        introducing = Introducing(database, identity, clock)
        await introducing.settle()
        record_check = RecordCheck(database, clock, reserve)
        stack.push_async_callback(record_check.close)
        await record_check.open(introducing)
        trust = Trust(settings, clock, identity, clock_is_set=clock.is_trusted)
        library = await Library.open(settings, trust)
        stack.push_async_callback(library.close)
        timekeeping.signed_ms = lambda: trust.pack_list.made_ms if trust.pack_list else 0
        await timekeeping.tick()
        line = await Line.open(database, clock, settings)
        stack.push_async_callback(line.close)
        line.knows_time = lambda: not timekeeping.is_in_doubt
        packs = open_packs(settings, clock, identity, database, library, line, stack)
        hand_ins = HandIns(database, settings, clock)
        exchange = await open_exchange(
            settings, timekeeping, identity, database, library, packs.loading, line, hand_ins, stack
        )
        signing_in = await SigningIn.open(database, clock, identity)
        own_lessons = OwnLessons(database, clock, library)
        teaching = Teaching(database, clock, library, signing_in, own_lessons)
        records = await open_records(settings, timekeeping, identity, database, teaching, line, stack)
        yield Box(
            settings=settings,
            clock=clock,
            identity=identity,
            database=database,
            signing_in=signing_in,
            record_check=record_check,
            indexing=Indexing(database),
            library=library,
            line=line,
            meter=Meter(line, exchange.syncing, packs.fetching, exchange.receiving),
            health=Health(database, settings, clock),
            teaching=teaching,
            marks=Marks(database, clock, teaching, hand_ins),
            hand_ins=hand_ins,
            own_lessons=own_lessons,
            timekeeping=timekeeping,
            **packs._asdict(),
            **exchange._asdict(),
            **records._asdict(),
            pdf_pages=PdfPages(settings.data / "cache" / "pdf"),
        )


def _finding_neighbours(box: Box, settings: Settings) -> AbstractAsyncContextManager[None]:
    """Find boxes nearby; those named by address stay whatever is found."""
    address = own_address() if settings.host in EVERYWHERE else settings.host

    def take(found: tuple[str, ...]) -> None:
        box.fetching.neighbours = (*settings.neighbours, *found)

    # A name of this start alone: copies of a box have its keys until the hub has told them, and a name must be unique.
    return finding_neighbours(ids.random_bytes(_NAME_BYTES), settings.content_port, [address], take)


@asynccontextmanager
async def _keeping_time(box: Box) -> AsyncIterator[None]:
    task = asyncio.get_running_loop().create_task(box.timekeeping.keep())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _use_link(box: Box) -> int | None:
    """Send and fetch what waits, whatever the waiting time says: it was set when there was no way out."""
    await box.syncing.sync_now()
    return await box.fetching.fetch_when_due()


def make_app(box: Box) -> web.Application:
    """Return the application of the app origin."""
    app = web.Application(middlewares=[guard], client_max_size=BODY_MAX_BYTES)
    app[BOX] = box
    app.on_response_prepare.extend((set_security_headers, set_record_headers))
    add_routes(app)
    return app


@asynccontextmanager
async def listening(app: web.Application, listener: socket.socket) -> AsyncIterator[None]:
    """Serve an application on a socket from `sockets.listen`."""
    runner = web.AppRunner(
        app,
        keepalive_timeout=KEEPALIVE_SECONDS,
        lingering_time=LINGER_SECONDS,
        shutdown_timeout=SHUTDOWN_SECONDS,
        access_log=None,
    )
    await runner.setup()
    try:
        if runner.server is not None:
            sockets.cap_connections(runner.server)
        await web.SockSite(runner, listener, backlog=sockets.BACKLOG).start()
        yield
    finally:
        await runner.cleanup()


class Part(Enum):
    """Which of the two origins a process serves."""

    ALL = "all"
    APP = "app"
    CONTENT = "content"


@dataclass(frozen=True)
class Running:
    """A box, or one origin of it, that answers.

    Attributes:
        address: of the pages, or of the content if only that is served.
        settings: with the ports that were really taken, where 0 was asked for.
        box: None in a process that serves content only.
    """

    address: str
    settings: Settings
    box: Box | None


@asynccontextmanager
async def running_box(
    settings: Settings, part: Part = Part.ALL, machine: MachineClock | None = None
) -> AsyncIterator[Running]:
    """Open a box, its control socket and its origins, or one origin only, and serve until the context ends."""
    async with AsyncExitStack() as stack:
        listener = content_listener = None
        if part is not Part.CONTENT:
            listener = stack.enter_context(sockets.listen(settings.host, settings.port))
            settings = replace(settings, port=listener.getsockname()[1])
        if part is not Part.APP:
            content_listener = stack.enter_context(sockets.listen(settings.host, settings.content_port))
            settings = replace(settings, content_port=content_listener.getsockname()[1])
            await stack.enter_async_context(serving_content(settings, content_listener))
        box = None
        if listener is not None:
            box = await stack.enter_async_context(open_box(settings, machine))
            await stack.enter_async_context(_keeping_time(box))
            await box.local_packs.sweep()
            await box.importing.sweep()
            await box.hand_ins.sweep()
            await box.syncing.files.tidy()
            box.loading.resume()
            box.checking.resume()
            box.exchanging.resume()
            if settings.finds_neighbours:
                await stack.enter_async_context(_finding_neighbours(box, settings))
            jobs = Jobs(
                box.syncing.sync_when_due,
                box.clock,
                every_minutes=settings.sync_minutes,
                fetch=box.fetching.fetch_when_due,
                forward=box.forwarding.run_due,
                at_link_up=lambda: _use_link(box),
            )
            jobs.add_hourly("retire", box.retiring.retire)
            jobs.add_hourly("scrub", box.checking.scrub_when_due)
            jobs.add_hourly("records", box.record_check.scrub_when_due)
            jobs.add_hourly("retention", box.retention.remove_when_due)
            jobs.add_hourly("index", box.indexing.list_due)
            jobs.add_hourly("health", box.health.write_when_due)
            box.recording.on_stored = box.hand_ins.on_stored = jobs.note_activity
            jobs.start()
            stack.callback(jobs.stop)
            await stack.enter_async_context(watching_link(jobs.note_link_up))
            await stack.enter_async_context(control.listen(box))
            await stack.enter_async_context(listening(make_app(box), listener))
        port = settings.port if listener is not None else settings.content_port
        yield Running(open_address(settings.host, port), settings, box)
