"""The running box as handlers and jobs see it, and the typed keys under which aiohttp keeps it."""

from dataclasses import dataclass

from aiohttp import web

from content_packs.base.clock import Clock
from edgebox.domain.session import Session
from edgebox.services.carrying import Carrying
from edgebox.services.checking import Checking
from edgebox.services.class_records import ClassRecords
from edgebox.services.clients import Clients
from edgebox.services.documents import Documents
from edgebox.services.exchanging import Exchanging
from edgebox.services.exporting import Exporting
from edgebox.services.fetching import Fetching
from edgebox.services.forwarding import Forwarding
from edgebox.services.hand_ins import HandIns
from edgebox.services.health import Health
from edgebox.services.hub_news import HubNews
from edgebox.services.identity import Identity
from edgebox.services.importing import Importing
from edgebox.services.indexing import Indexing
from edgebox.services.launching import Launching
from edgebox.services.library import Library
from edgebox.services.line import Line
from edgebox.services.loading import Loading
from edgebox.services.local_packs import LocalPacks
from edgebox.services.marks import Marks
from edgebox.services.meter import Meter
from edgebox.services.own_lessons import OwnLessons
from edgebox.services.pdf_pages import PdfPages
from edgebox.services.receiving import Receiving
from edgebox.services.record_check import RecordCheck
from edgebox.services.record_store import RecordStore
from edgebox.services.recording import Recording
from edgebox.services.retention import Retention
from edgebox.services.retiring import Retiring
from edgebox.services.signing_in import SigningIn
from edgebox.services.syncing import Syncing
from edgebox.services.teaching import Teaching
from edgebox.services.timekeeping import Timekeeping
from edgebox.settings import Settings
from edgebox.store.database import Database


@dataclass(frozen=True)
class Box:
    """Everything one box is made of; put together in `edgebox.app` and nowhere else."""

    settings: Settings
    clock: Clock
    identity: Identity
    database: Database
    signing_in: SigningIn
    recording: Recording
    record_check: RecordCheck
    record_store: RecordStore
    retention: Retention
    forwarding: Forwarding
    documents: Documents
    class_records: ClassRecords
    clients: Clients
    launching: Launching
    indexing: Indexing
    library: Library
    loading: Loading
    retiring: Retiring
    checking: Checking
    health: Health
    local_packs: LocalPacks
    exporting: Exporting
    fetching: Fetching
    line: Line
    meter: Meter
    importing: Importing
    teaching: Teaching
    receiving: Receiving
    hub_news: HubNews
    marks: Marks
    hand_ins: HandIns
    own_lessons: OwnLessons
    syncing: Syncing
    timekeeping: Timekeeping
    carrying: Carrying
    exchanging: Exchanging
    pdf_pages: PdfPages


BOX = web.AppKey("BOX", Box)
SESSION = web.RequestKey("SESSION", Session)
