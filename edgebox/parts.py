"""The parts of a box that belong together, opened in groups; edgebox.app puts the groups together."""

from contextlib import AsyncExitStack
from typing import NamedTuple

from edgebox.services.attachments import Attachments
from edgebox.services.box_clock import BoxClock
from edgebox.services.carrying import Carrying
from edgebox.services.checking import Checking, StickSource
from edgebox.services.class_records import ClassRecords
from edgebox.services.clients import Clients
from edgebox.services.documents import Documents
from edgebox.services.exchanging import Exchanging
from edgebox.services.exporting import Exporting
from edgebox.services.fetching import Fetching
from edgebox.services.forwarding import Forwarding
from edgebox.services.hand_ins import HandIns
from edgebox.services.hub_news import HubNews
from edgebox.services.identity import Identity
from edgebox.services.importing import Importing
from edgebox.services.launching import Launching
from edgebox.services.library import Library
from edgebox.services.line import Line
from edgebox.services.loading import Loading
from edgebox.services.local_packs import LocalPacks
from edgebox.services.network_source import NetworkSource
from edgebox.services.receiving import Receiving
from edgebox.services.record_store import RecordStore
from edgebox.services.recording import Recording
from edgebox.services.retention import Retention
from edgebox.services.retiring import Retiring
from edgebox.services.stick_ids import StickIds
from edgebox.services.syncing import Syncing
from edgebox.services.teaching import Teaching
from edgebox.services.timekeeping import Timekeeping
from edgebox.settings import Settings
from edgebox.store.database import Database
from sync.engine.lanes import Lane
from sync.transport.http import HttpTransport


class Packs(NamedTuple):
    """What deals with packs; by the names of the box's parts, as in the next."""

    loading: Loading
    exporting: Exporting
    retiring: Retiring
    fetching: Fetching
    checking: Checking
    local_packs: LocalPacks
    importing: Importing


class Exchange(NamedTuple):
    """What deals with the hub."""

    hub_news: HubNews
    receiving: Receiving
    syncing: Syncing
    carrying: Carrying
    exchanging: Exchanging


class Records(NamedTuple):
    """What deals with what is recorded."""

    recording: Recording
    record_store: RecordStore
    class_records: ClassRecords
    retention: Retention
    forwarding: Forwarding
    documents: Documents
    clients: Clients
    launching: Launching


async def open_records(
    settings: Settings,
    timekeeping: Timekeeping,
    identity: Identity,
    database: Database,
    teaching: Teaching,
    line: Line,
    stack: AsyncExitStack,
) -> Records:
    """Open what deals with what is recorded; `stack` closes it."""
    clock = timekeeping.clock
    recording = await Recording.open(database, clock, identity, timekeeping.note_tablet)
    attachments = Attachments(database, settings.attachments)
    await attachments.sweep()
    record_store = RecordStore(database, clock, recording, identity.home_page, attachments)
    retention = Retention(database, settings, clock, teaching, is_time_known=clock.is_trusted)
    stack.push_async_callback(retention.close)
    forwarding = Forwarding(database, settings, clock, line, attachments, identity.home_page)
    stack.push_async_callback(forwarding.close)
    return Records(
        recording=recording,
        record_store=record_store,
        class_records=ClassRecords(database, teaching, record_store),
        retention=retention,
        forwarding=forwarding,
        documents=Documents(database, clock),
        clients=Clients(database, clock),
        launching=Launching(database, clock, recording, identity),
    )


def open_packs(
    settings: Settings,
    clock: BoxClock,
    identity: Identity,
    database: Database,
    library: Library,
    line: Line,
    stack: AsyncExitStack,
) -> Packs:
    """Open what deals with packs; `stack` closes it."""
    loading = Loading(database, settings, clock, library)
    exporting = Exporting(settings, library, loading.sticks)
    retiring = Retiring(database, settings, clock, library)
    loading.make_room = retiring.make_room
    fetching = Fetching(database, settings, clock, library, loading, line)
    checking = Checking(settings, clock, library, [StickSource(loading.sticks), NetworkSource(fetching)])
    local_packs = LocalPacks(database, settings, clock, identity, loading)
    importing = Importing(settings, loading, local_packs)
    for part in (loading, exporting, fetching, checking, importing):
        stack.push_async_callback(part.close)
    return Packs(loading, exporting, retiring, fetching, checking, local_packs, importing)


async def open_exchange(
    settings: Settings,
    timekeeping: Timekeeping,
    identity: Identity,
    database: Database,
    library: Library,
    loading: Loading,
    line: Line,
    hand_ins: HandIns,
    stack: AsyncExitStack,
) -> Exchange:
    """Open what deals with the hub; `stack` closes it."""
    clock = timekeeping.clock
    hub_news = HubNews(database, clock, library)
    receiving = Receiving(database, identity, clock, settings.spool, on_applied=hub_news.reload)
    await receiving.resume()
    await hub_news.reload()

    def make_link(url: str) -> HttpTransport:
        # What the hub has for this box is never as large as a pack, so it waits for no hours.
        wire, down = line.wire(Lane.PROGRESS), line.wire(Lane.SMALL, is_by_size=False)
        return HttpTransport(url, authorities=settings.hub_ca, wire=wire, down=down)

    syncing = Syncing(database, identity, clock, settings.spool, line, receiving, make_link, hand_ins.blobs)
    syncing.files.has_room = hand_ins.has_room
    syncing.on_told_time = timekeeping.hear
    carrying = Carrying(database, identity, clock, syncing, receiving, settings.spool)
    exchanging = Exchanging(database, identity, syncing, receiving, loading.sticks, StickIds(database, clock))
    for part in (syncing, carrying, exchanging):
        stack.push_async_callback(part.close)
    return Exchange(hub_news, receiving, syncing, carrying, exchanging)
