"""Statements go to a record store outside the school, if staff named one: in the order of the log, once each.

What the store says to a request moves the cursor, sets a statement aside, or ends the run until later; see
`edgebox.domain.forwarding`. After a run the store is asked for the last statement that it took, as a proof.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from content_packs.base.address import own_address
from content_packs.base.clock import Clock
from content_packs.base.errors import EdgeboxError
from edgebox.domain import forwarding as rules
from edgebox.domain.forwarding import ForwardSignInMissing
from edgebox.domain.xapi.version import Version
from edgebox.services.attachments import Attachments
from edgebox.services.forward_run import ForwardRun, Link, TargetGone
from edgebox.services.line import Line
from edgebox.settings import Settings
from edgebox.store import forwards
from edgebox.store.connections import StoreUnavailable
from edgebox.store.database import Database
from edgebox.store.forwards import Progress, PutAside, Target, Waiting
from sync.engine.lanes import Lane
from sync.transport.records import RecordLink

_WEB_PORTS = (80, 443)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class State:
    """What staff are shown; never the password.

    Attributes:
        asides: how many statements the store does not take.
        newest_asides: the last of them.
    """

    url: str
    login: str
    version: Version
    sends_given: bool
    is_paused: bool
    is_denied: bool
    is_sending: bool
    next_try_ms: int | None
    progress: Progress
    waiting: Waiting
    asides: int
    newest_asides: list[PutAside]


class Forwarding:
    """At most one run at a time; safe to call from any task of the loop."""

    def __init__(
        self, database: Database, settings: Settings, clock: Clock, line: Line, files: Attachments, home_page: str
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._line = line
        self._files = files
        self._home_page = home_page
        self._run: asyncio.Task[None] | None = None
        self._wire = line.wire(Lane.TELEMETRY, is_by_size=False)
        self.make_link: Callable[[Target], Link] = self._make_link

    async def close(self) -> None:
        """End what is on its way; it goes again. Safe to repeat."""
        if self._run is not None:
            self._run.cancel()
            await asyncio.gather(self._run, return_exceptions=True)

    async def state(self) -> State | None:
        """Return how it stands; None when nothing is forwarded."""
        target = await self._database.read(forwards.find_target)
        progress = await self._database.read(forwards.find_progress)
        if target is None or progress is None:
            return None
        waiting = await self._database.read(partial(forwards.count_waiting, target=target))
        asides, newest = await self._database.read(forwards.list_aside)
        return State(
            target.url,
            target.login,
            target.version,
            target.sends_given,
            target.is_paused,
            target.is_denied,
            self._is_running,
            target.next_try_ms,
            progress,
            waiting,
            asides,
            newest,
        )

    async def set_up(self, address: str, login: str, secret: str, version: Version, *, sends_given: bool) -> None:
        """Forward to a store from now on, from the first statement on if the address is another.

        No secret keeps the one that is known, for the same machine and login only. Safe to repeat.

        Raises:
            ForwardAddressInvalid, ForwardSignInMissing
        """
        url = rules.parse_address(address)
        hosts = {*self._settings.hostnames, self._settings.host, await asyncio.to_thread(own_address)}
        rules.check_not_own(url, hosts, {self._settings.port, self._settings.content_port, *_WEB_PORTS})
        known = await self._database.read(forwards.find_target)
        is_known = known is not None and known.login == login and rules.origin_of(known.url) == rules.origin_of(url)
        kept = secret or (known.secret if known is not None and is_known else "")
        if not login or not kept or ":" in login or not (login + kept).isprintable():
            raise ForwardSignInMissing
        put = partial(forwards.put_target, url=url, login=login, secret=kept, version=version, sends_given=sends_given)
        await self._database.write(put)

    async def pause(self, *, on: bool) -> None:
        """Send nothing until it goes on, or go on. Safe to repeat."""
        await self._database.write(partial(forwards.pause, on=on))

    async def end(self) -> None:
        """Forward nothing any more, and forget the store with its password. Safe to repeat."""
        await self._database.write(forwards.end)

    async def run_due(self) -> int | None:
        """Send what waits if it is time to; return when to come back, None for at the usual time."""
        if not self._is_running:
            await asyncio.wait({self._begin(is_asked=False)})
        target = await self._database.read(forwards.find_target)
        if target is None or target.is_paused or target.is_denied:
            return None
        return target.next_try_ms

    async def send_now(self, patience_seconds: float) -> None:
        """Send what waits, now, whatever the waiting time says; return when it is done, or is taking long."""
        run = self._run if self._run is not None and self._is_running else self._begin(is_asked=True)
        await asyncio.wait({run}, timeout=patience_seconds)

    @property
    def _is_running(self) -> bool:
        return self._run is not None and not self._run.done()

    def _begin(self, *, is_asked: bool) -> asyncio.Task[None]:
        self._run = asyncio.get_running_loop().create_task(self._send_all(is_asked=is_asked))
        return self._run

    async def _send_all(self, *, is_asked: bool) -> None:
        target = await self._database.read(forwards.find_target)
        if target is None or target.is_paused or not (is_asked or self._is_due(target)):
            return
        link = self.make_link(target)
        run = ForwardRun(self._database, self._clock, self._line, self._files, link, target, is_asked=is_asked)
        try:
            await self._go(run)
        except StoreUnavailable as error:
            log.warning("forward.stopped %s", error)
        finally:
            await link.close()

    async def _go(self, run: ForwardRun) -> None:
        try:
            await run.deliver_all(self._home_page)
            await run.prove()
        except (TargetGone, StoreUnavailable) as error:
            log.info("forward.stopped %s", error)
        except EdgeboxError as error:
            log.warning("forward.stopped %s", error)
            await run.note(error)

    def _make_link(self, target: Target) -> Link:
        return RecordLink(target.url, target.login, target.secret, target.version.title, self._wire)

    def _is_due(self, target: Target) -> bool:
        return not target.is_denied and rules.is_due(target.next_try_ms, self._clock.now_ms())
