"""The composition root of the hub."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass

from aiohttp import web, web_response
from aiohttp.typedefs import Middleware

from content_packs.base import atomic, drips, sockets
from content_packs.base.clock import Clock, SystemClock
from content_packs.base.starting import folder_errors, hold_lock
from sync.hub.admin import Admin
from sync.hub.carried import CarriedFiles
from sync.hub.control import SOCKET_NAME, short_address
from sync.hub.downloads import Downloads
from sync.hub.enrolling import Enrolling, Tries
from sync.hub.errors import HubBusy
from sync.hub.guard import answer_errors, same_site, set_security_headers
from sync.hub.incoming import Incoming
from sync.hub.keys import open_keys
from sync.hub.partials import Partials
from sync.hub.posting import Posting
from sync.hub.receiving import Receiving
from sync.hub.render import load_templates
from sync.hub.routes import CONTROL, PUBLIC, Route, add_routes
from sync.hub.running import HUB, Hub
from sync.hub.sending import Sending
from sync.hub.settings import HubSettings, prepare_folders
from sync.hub.shares import Shares
from sync.hub.store.database import sqlite_url
from sync.hub.store.merged import put_origin
from sync.hub.store.worker import Store
from sync.hub.tus import set_tus_headers
from sync.hub.upload_names import UploadNames
from sync.hub.uploads import Uploads

KEEPALIVE_SECONDS = 20.0
LINGER_SECONDS = 5.0
# A bundle's body is read by our own loop against its own limit; this is for whatever aiohttp reads itself.
BODY_MAX_BYTES = 64 * 1024
# What aiohttp cannot parse it answers by itself, without our headers; it need not say which version it is.
web_response.SERVER_SOFTWARE = "edgebox"  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Listening:
    """Where a running hub is, and its first one-time code for the operator, if it is new."""

    hub: Hub
    port: int
    first_admin_code: str | None


@contextmanager
def hold_data(settings: HubSettings) -> Iterator[None]:
    """Take the lock of the hub's folder, so that two writers never meet.

    Raises:
        HubBusy: somebody else holds it.
        FolderUnusable: it cannot be made or written.
    """
    with folder_errors(settings.data):
        prepare_folders(settings)
    with hold_lock(settings.data / "hub.lock", HubBusy(folder=str(settings.data))):
        yield


@asynccontextmanager
async def open_hub(settings: HubSettings, clock: Clock | None = None) -> AsyncIterator[Hub]:
    """Open everything a hub is made of, and close it in the reverse order."""
    clock = clock or SystemClock()
    with hold_data(settings):
        with folder_errors(settings.keys):
            keys = await asyncio.to_thread(open_keys, settings.keys)
            if not settings.database_url:
                await asyncio.to_thread(atomic.make_private, settings.data / "hub.db")
        url = settings.database_url or sqlite_url(settings.data / "hub.db")
        store = await asyncio.to_thread(Store, url)
        await asyncio.to_thread(load_templates)
        enrolling = Enrolling(store, keys, clock)
        sending = Sending(settings, store, keys, clock)
        shares = Shares()
        uploads, partials = Uploads(settings.uploads_max, shares), Partials(settings.uploads)
        receiving = Receiving(settings, store, keys, clock, sending, enrolling, shares, uploads)
        await asyncio.to_thread(partials.load)
        try:
            await store.run(lambda connection: put_origin(connection, keys.signing.verify_key.key_id))
            await sending.sweep()
            yield Hub(
                settings=settings,
                clock=clock,
                keys=keys,
                store=store,
                enrolling=enrolling,
                receiving=receiving,
                sending=sending,
                posting=Posting(store, keys, clock),
                admin=Admin(store, clock),
                sign_in_tries=Tries(clock),
                uploads=uploads,
                incoming=Incoming(partials, UploadNames(keys.signing), receiving, uploads, clock),
                downloads=Downloads(),
                carried=CarriedFiles(receiving, sending, uploads),
            )
        finally:
            await asyncio.to_thread(store.close)


@asynccontextmanager
async def running_hub(settings: HubSettings, clock: Clock | None = None) -> AsyncIterator[Listening]:
    """Open a hub and listen on its port and its control socket."""
    async with open_hub(settings, clock) as hub, AsyncExitStack() as stack:
        await hub.receiving.resume()
        public = _runner(hub, PUBLIC, [answer_errors, same_site])
        control = _runner(hub, CONTROL, [answer_errors])
        try:
            await public.setup()
            await control.setup()
            if public.server is not None:
                sockets.cap_connections(public.server)
                drips.rest_between_drips(public.server)
            tls = await asyncio.to_thread(make_tls, settings)
            listener = stack.enter_context(sockets.listen(settings.host, settings.port))
            await web.SockSite(public, listener, backlog=sockets.BACKLOG, ssl_context=tls).start()
            await _listen_on_socket(control, settings)
            await hub.receiving.catching_up.start()
            yield Listening(hub, int(listener.getsockname()[1]), await hub.admin.make_first_code())
        finally:
            hub.uploads.close()
            await hub.receiving.catching_up.close()
            await control.cleanup()
            await public.cleanup()


def make_tls(settings: HubSettings) -> ssl.SSLContext | None:
    """Return what HTTPS needs, None for plain HTTP. Blocks.

    Raises:
        OSError: certificate or key cannot be read, or do not belong together.
    """
    if settings.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.certificate, settings.certificate_key)
    return context


def _runner(hub: Hub, routes: tuple[Route, ...], middlewares: list[Middleware]) -> web.AppRunner:
    app = web.Application(middlewares=middlewares, client_max_size=BODY_MAX_BYTES)
    app[HUB] = hub
    app.on_response_prepare.append(set_security_headers)
    app.on_response_prepare.append(set_tus_headers)
    add_routes(app, routes)
    return web.AppRunner(app, keepalive_timeout=KEEPALIVE_SECONDS, lingering_time=LINGER_SECONDS, access_log=None)


async def _listen_on_socket(runner: web.AppRunner, settings: HubSettings) -> None:
    (settings.data / SOCKET_NAME).unlink(missing_ok=True)
    mask = os.umask(0o177)
    try:
        with short_address(settings.data) as address:
            await web.UnixSite(runner, address).start()
    finally:
        os.umask(mask)
