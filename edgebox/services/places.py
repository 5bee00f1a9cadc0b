"""The places packs come from over a line: what each has, and the platform's list that some of them bring along."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from content_packs.base.budget import Allowance
from content_packs.base.clock import Clock
from content_packs.base.codec import CodecMalformed
from content_packs.base.errors import EdgeboxError
from content_packs.fetch import HttpSource
from content_packs.fetch.errors import FetchPaused, NotOffered
from content_packs.fetch.lists import with_reader
from content_packs.fetch.offers import Offered
from content_packs.fetch.small import SmallFiles
from edgebox.services.line import Wire
from edgebox.services.trust import Trust

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Places:
    """The sources of one look, and the newest version of each pack that each has; None for one without a list.

    Attributes:
        is_paused: some depots were not asked, because the budget is used up or it is not the hour.
        list_error: why the platform's list was not taken over from the last depot that has a bad one.
    """

    depots: tuple[HttpSource, ...]
    neighbours: tuple[HttpSource, ...]
    offers: Mapping[HttpSource, Mapping[str, int] | None]
    is_paused: bool = False
    list_error: EdgeboxError | None = None

    def neighbours_of(self, pack: str, above_version: int) -> list[tuple[HttpSource, int]]:
        """Return the neighbours that say they have a version above the one given, the highest first."""
        found = [(source, (self.offers.get(source) or {}).get(pack, 0)) for source in self.neighbours]
        return sorted((pair for pair in found if pair[1] > above_version), key=lambda pair: -pair[1])

    def depots_of(self, pack: str, above_version: int) -> tuple[list[HttpSource], int]:
        """Return the depots that may have something newer, and the highest version known of, 0 for none."""
        listed = [(source, self.offers.get(source)) for source in self.depots]
        newest = max([versions.get(pack, 0) for _, versions in listed if versions is not None], default=0)
        found = [source for source, versions in listed if versions is None or versions.get(pack, 0) > above_version]
        return found, newest


class Sources:
    """Depots and neighbours, open; use it with `async with`."""

    def __init__(self, depots: Sequence[str], neighbours: Sequence[str], clock: Clock, wire: Wire) -> None:
        """Take addresses; depots are beyond the line, which costs, neighbours are not."""
        self._clock = clock
        self._stack = AsyncExitStack()
        self.depots = tuple(HttpSource(address, clock=clock, wire=wire) for address in dict.fromkeys(depots))
        self.neighbours = tuple(
            HttpSource(address, is_metered=False, clock=clock) for address in dict.fromkeys(neighbours)
        )

    async def __aenter__(self) -> Self:
        for source in (*self.depots, *self.neighbours):
            self._stack.push_async_callback(source.close)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def look(self, trust: Trust, budget: Allowance) -> Places:
        """Take over the platform's list where there is a newer one, and ask everybody once what they have.

        What goes wrong with one place does not keep the box from the others. Withdrawn versions are left out.
        """
        everybody = (*self.depots, *self.neighbours)
        sources = [SmallFiles(source, budget=budget, clock=self._clock) for source in everybody]
        refused = await asyncio.gather(*(_refresh(trust, files) for files in sources[: len(self.depots)]))
        found = await asyncio.gather(*(_offers_of(files) for files in sources))
        errors = [error for error in refused if error is not None]
        return Places(
            self.depots,
            self.neighbours,
            {source: _newest(offers, trust.withdrawn) for source, offers in zip(everybody, found, strict=True)},
            is_paused=any(isinstance(offers, FetchPaused) for offers in found),
            list_error=errors[-1] if errors else None,
        )


async def _refresh(trust: Trust, files: SmallFiles) -> EdgeboxError | None:
    """Take over the list of a depot, if it has one; return why it was refused, or could not be had."""
    try:
        await with_reader(files, trust.refresh_far)
    except FetchPaused:
        return None
    except EdgeboxError as error:
        log.warning("trust.list_refused source=%s error=%s", files.source.name, error)
        return error
    return None


async def _offers_of(files: SmallFiles) -> list[Offered] | FetchPaused | None:
    """Return the packs of a source; None when it does not say."""
    try:
        return await files.offers()
    except NotOffered:
        return None
    except FetchPaused as paused:
        return paused
    except CodecMalformed as error:
        log.warning("fetching.list_unreadable source=%s error=%s", files.source.name, error)
    except EdgeboxError as error:
        log.info("fetching.list_missing source=%s error=%s", files.source.name, error)
    return []


def _newest(
    offers: list[Offered] | FetchPaused | None, withdrawn: frozenset[tuple[str, int]]
) -> Mapping[str, int] | None:
    if offers is None:
        return None
    newest: dict[str, int] = {}
    for one in offers if isinstance(offers, list) else ():
        if (one.pack, one.version) not in withdrawn:
            newest[one.pack] = max(one.version, newest.get(one.pack, 0))
    return newest
