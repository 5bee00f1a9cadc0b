"""Applies in the background what waited: bundles that were held behind a hole, or set aside and explained by now.

Each box that has some has a task, which holds nothing that a request waits for. Every bundle has a transaction of its
own, and what it costs is on the box's account before the next. What fails is left as it is and tried again later, when
the box comes again, or when the hub starts; so a hub that is stopped meanwhile goes on where it was.
"""

import asyncio
import logging
from collections import Counter
from functools import partial
from importlib.metadata import version

from sync.hub.chain import Chain
from sync.hub.effort import Effort
from sync.hub.store import boxes, bundles
from sync.hub.store.bundles import Waiting
from sync.hub.store.worker import Store
from sync.hub.uploads import Uploads

AT_ONCE_MAX = 2  # each is in memory, with its records
RETRY_SECONDS = 60.0
DOUBLINGS_MAX = 8  # 4 hours

log = logging.getLogger(__name__)


class CatchingUp:
    """The tasks, at most one for each box."""

    def __init__(self, store: Store, chain: Chain, uploads: Uploads) -> None:
        self._store = store
        self._chain = chain
        self._uploads = uploads
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._due: set[int] = set()
        self._later: dict[int, asyncio.TimerHandle] = {}
        self._failures = Counter[int]()
        self._memory = asyncio.Semaphore(AT_ONCE_MAX)
        self._is_open = False

    async def start(self) -> None:
        """Go on where a stopped hub left off; a new version of this program tries again what could not be applied."""
        await self._store.run(partial(bundles.try_again_under, version=version("edgebox")))
        self._is_open = True
        for box_no in await self._store.run(bundles.list_waiting_boxes):
            self.go_on(box_no)

    def go_on(self, box_no: int) -> None:
        """Apply what waits of a box, in the background; a hub that is not started, or is stopped, does so later."""
        if not self._is_open:
            return
        self._due.add(box_no)
        if (timer := self._later.pop(box_no, None)) is not None:
            timer.cancel()
        if box_no not in self._tasks:
            self._tasks[box_no] = asyncio.create_task(self._run(box_no))

    async def idle(self) -> None:
        """Return once nothing is being applied any more; what failed is tried later."""
        while self._tasks:
            await asyncio.gather(*self._tasks.values())

    async def close(self) -> None:
        """Stop at once; a bundle that is being written to the database is finished, or never was begun."""
        self._is_open = False
        for timer in self._later.values():
            timer.cancel()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, box_no: int) -> None:
        has_failed = False
        try:
            while box_no in self._due:
                self._due.discard(box_no)
                has_failed = await self._catch_up(box_no)
        except Exception:
            log.exception("hub.box_waits box=%d", box_no)
            has_failed = True
        finally:
            del self._tasks[box_no]
        if has_failed:
            self._try_later(box_no)
        else:
            self._failures.pop(box_no, None)

    async def _catch_up(self, box_no: int) -> bool:
        """Apply what waits of a box, and return whether any of it failed: it was tried, and waits still."""
        tried = set[Waiting]()
        while found := await self._store.run(partial(bundles.list_waiting, box_no=box_no)):
            waiting = [each for each in found if each not in tried]
            if not waiting:
                return True
            for each in waiting:
                if not await self._apply(each):
                    tried.add(each)
        return False

    async def _apply(self, waiting: Waiting) -> bool:
        """Return whether it was applied, or anything else became of it."""
        box, effort = await self._store.run(partial(boxes.get_box, no=waiting.place.box_no)), Effort()
        try:
            await self._uploads.wait_all(box.verify_key.key_id)
            async with self._memory:
                return await self._chain.apply(box, waiting, effort)
        except Exception:
            log.exception("hub.bundle_stays_%s %s", waiting.state.value, waiting.place)
            return False
        finally:
            self._uploads.spend(box.verify_key.key_id, effort.seconds)

    def _try_later(self, box_no: int) -> None:
        """Look at a box again after a time that grows, unless it comes before."""
        delay_seconds = RETRY_SECONDS * 2 ** min(self._failures[box_no], DOUBLINGS_MAX)
        self._failures[box_no] += 1
        self._later[box_no] = asyncio.get_running_loop().call_later(delay_seconds, self.go_on, box_no)
