"""The running hub as handlers see it, and the typed key under which aiohttp keeps it."""

from dataclasses import dataclass

from aiohttp import web

from content_packs.base.clock import Clock
from sync.hub.admin import Admin
from sync.hub.carried import CarriedFiles
from sync.hub.downloads import Downloads
from sync.hub.enrolling import Enrolling, Tries
from sync.hub.incoming import Incoming
from sync.hub.keys import HubKeys
from sync.hub.posting import Posting
from sync.hub.receiving import Receiving
from sync.hub.sending import Sending
from sync.hub.settings import HubSettings
from sync.hub.store.worker import Store
from sync.hub.uploads import Uploads


@dataclass(frozen=True)
class Hub:
    """Everything one hub is made of; put together in `sync.hub.app` and nowhere else."""

    settings: HubSettings
    clock: Clock
    keys: HubKeys
    store: Store
    enrolling: Enrolling
    receiving: Receiving
    sending: Sending
    posting: Posting
    incoming: Incoming
    admin: Admin
    sign_in_tries: Tries
    uploads: Uploads
    downloads: Downloads
    carried: CarriedFiles


HUB = web.AppKey("HUB", Hub)
