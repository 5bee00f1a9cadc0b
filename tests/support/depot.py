"""A depot that tests publish to, tamper with and serve, and a box that reads it by line or from a stick."""

import asyncio
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from tuf.api.metadata import Metadata, Timestamp

from content_packs.base.signing import SigningKey
from content_packs.format.layout import MANIFEST_NAME
from content_packs.trust import publishing, roles
from content_packs.trust.depot import Depot, key_ids
from content_packs.trust.errors import ListTooLarge
from content_packs.trust.keyring import BoxKeyring
from content_packs.trust.keys import ListSigner
from content_packs.trust.listing import PackList
from content_packs.trust.reading import DepotReader, NotThere
from content_packs.trust.store import TrustStore
from tests.support.small_course import build_small

NOW_MS = 1_763_780_000_000
DAY_MS = 24 * 3600 * 1000
PREFIX = "org.example"
PACK = "org.example.parts"


def key(name: str) -> SigningKey:
    """Return the key of this name, always the same."""
    return SigningKey(name.encode().ljust(32, b"."))


def platform_keys() -> dict[str, list[SigningKey]]:
    """Return the first keys of a platform by role."""
    return {role: [key(f"{role}-{no}") for no in range(1, count + 1)] for role, count in roles.KEY_COUNTS.items()}


class PlayDepot:
    """A depot in a folder, with all its keys at hand.

    Attributes:
        work: where packs are built and copies kept.
        keys: by name in a list; take one away to see what happens without it.
        now_ms: when what is done is done.
    """

    def __init__(self, folder: Path, work: Path | None = None) -> None:
        self.folder = folder / "edgebox"
        self.work = work or folder
        self.now_ms = NOW_MS
        self.press = key("press")
        self.keys = key_ids([one for role in platform_keys().values() for one in role])
        self.hold(self.press)
        depot = Depot.create(
            self.folder, {role: [one.verify_key for one in keys] for role, keys in platform_keys().items()}, NOW_MS
        )
        publishing.delegate(depot, PREFIX, self.press.verify_key, "Example Press")
        depot.commit(self.keys, NOW_MS)

    @property
    def root(self) -> bytes:
        """Return the file that boxes begin with."""
        return (self.folder / "metadata/1.root.json").read_bytes()

    def hold(self, *keys: SigningKey) -> None:
        """Have further keys at hand."""
        self.keys |= key_ids(keys)

    def change(self, *steps: Callable[[Depot], object]) -> None:
        """Open the depot, do the steps, and commit."""
        depot = Depot.open(self.folder)
        for step in steps:
            step(depot)
        depot.commit(self.keys, self.now_ms)

    def publish(self, version: int = 1, pack: str = PACK, by: SigningKey | None = None, more: str = "") -> Path:
        """Build a pack, publish it, and return the folder it was built in."""
        folder = self.build(version, pack, by, more)
        self.change(lambda depot: publishing.add_pack(depot, folder, self.keys))
        return folder

    def build(self, version: int = 1, pack: str = PACK, by: SigningKey | None = None, more: str = "") -> Path:
        """Build a pack outside the depot."""
        return build_small(self.work / f"built{more}", by or self.press, pack=pack, version=version, more=more)

    def rotate(self, old: str, new: str) -> None:
        """Put another key in the place of one of the platform's."""
        self.hold(key(new))
        self.change(lambda depot: publishing.replace_key(depot, key(old).verify_key, key(new).verify_key))

    def saved(self) -> Path:
        """Return a copy of the depot as it is now."""
        copy = self.work / f"saved-{len(list(self.work.glob('saved-*')))}"
        shutil.copytree(self.folder, copy)
        return copy

    def record(self, role: str) -> Metadata[Any]:
        """Return the newest record of a role as it is on disk."""
        return Metadata.from_bytes(self.path(role).read_bytes())

    def path(self, role: str) -> Path:
        """Return the file of the newest record of a role."""
        metadata = self.folder / "metadata"
        if role == Timestamp.type:
            return metadata / "timestamp.json"
        return max(metadata.glob(f"*.{role}.json"), key=lambda path: int(path.name.partition(".")[0]))

    def forge(self, role: str, change: Callable[[Any], object], *signers: SigningKey) -> None:
        """Write a changed record in the place of the newest, signed by whom the attacker has the keys of."""
        record = self.record(role)
        change(record.signed)
        record.signatures.clear()
        for signer in signers:
            record.sign(ListSigner(signer), append=True)
        place = self.path(role)
        if role != Timestamp.type:
            place = place.with_name(f"{record.signed.version}.{role}.json")
        place.write_bytes(record.to_bytes())


class PlayBox:
    """What a box trusts, read from wherever `reader` leads."""

    def __init__(self, folder: Path, root: bytes) -> None:
        self.folder = folder
        self.store = TrustStore(folder)
        self.store.set_root(root)

    def refresh(self, reader: DepotReader, now_ms: int | None = NOW_MS) -> PackList:
        """Take over a list; `now_ms` is None without a trusted clock."""
        return self.store.refresh(reader, now_ms)

    def keyring(self, now_ms: int | None = NOW_MS) -> BoxKeyring:
        """Return the rules for new packs by the list the box has."""
        return BoxKeyring({}, pack_list=self.store.load(), now_ms=now_ms)

    def listed(self) -> list[tuple[str, int]]:
        """Return the pack versions of the list the box has."""
        found = self.store.load()
        return sorted(found.packs) if found else []


class HttpReader:
    """The least that reads a depot by HTTP."""

    def __init__(self, address: str) -> None:
        self._address = address

    def read(self, name: str, max_bytes: int) -> bytes:
        """Return a file."""
        try:
            with urllib.request.urlopen(f"{self._address}/{name}", timeout=20) as response:
                content: bytes = response.read(max_bytes + 1)
        except urllib.error.HTTPError as error:
            with error:
                raise NotThere(name) from error
        if len(content) > max_bytes:
            raise ListTooLarge(name=name)
        return content


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a folder by HTTP, from a thread of its own, and give its address."""
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(_static(folder))
    ready, addresses = threading.Event(), []

    async def start() -> None:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        addresses.append(f"http://127.0.0.1:{runner.addresses[0][1]}")
        ready.set()

    def serve() -> None:
        loop.run_until_complete(start())
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=serve)
    thread.start()
    ready.wait()
    try:
        yield addresses[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def _static(folder: Path) -> web.Application:
    async def answer(request: web.Request) -> web.StreamResponse:
        path = folder / request.match_info["name"]
        return web.FileResponse(path) if path.is_file() else web.Response(status=404)

    app = web.Application()
    app.router.add_get("/{name:.+}", answer)
    return app


def envelope(folder: Path) -> bytes:
    """Return the manifest file of a pack."""
    return (folder / MANIFEST_NAME).read_bytes()
