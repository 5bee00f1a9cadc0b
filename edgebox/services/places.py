"""Where packs can be fetched from just now, and which versions each place says it has."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from content_packs.base.codec import CodecMalformed
from content_packs.base.errors import EdgeboxError
from content_packs.fetch import HttpSource
from content_packs.fetch.errors import NotOffered
from content_packs.fetch.packs import read_offers

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Places:
    """The sources of one look, and the newest version of each pack that each has; None for one without a list."""

    depots: tuple[HttpSource, ...]
    neighbours: tuple[HttpSource, ...]
    offers: Mapping[HttpSource, Mapping[str, int] | None]

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


async def offers_of(source: HttpSource) -> dict[str, int] | None:
    """Return the newest version of each pack of a source, None when it does not say."""
    try:
        offers = await read_offers(source)
    except CodecMalformed as error:
        log.warning("fetching.list_unreadable source=%s error=%s", source.name, error)
        return {}
    except NotOffered:
        return None
    except EdgeboxError as error:
        log.info("fetching.list_missing source=%s error=%s", source.name, error)
        return {}
    newest: dict[str, int] = {}
    for one in offers:
        newest[one.pack] = max(one.version, newest.get(one.pack, 0))
    return newest
