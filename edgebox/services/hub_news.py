"""What the hub told, in memory: pages ask for it all the time, and it changes when a bundle comes or one is read."""

from content_packs.base.clock import Clock
from edgebox.services.library import Library
from edgebox.store import hub_news
from edgebox.store.database import Database
from edgebox.store.hub_news import HubMessage, HubOffer, News

MESSAGES_SHOWN = 5


class HubNews:
    """Messages, offers and withdrawals of the hub."""

    def __init__(self, database: Database, clock: Clock, library: Library) -> None:
        self._database = database
        self._clock = clock
        self._library = library
        self._news = News()

    async def reload(self) -> None:
        """Read everything again: after a bundle was applied, and at the start."""
        self._news = await self._database.read(hub_news.read_news)
        self._library.trust.withdrawn_by_hub = self._news.withdrawn

    def messages(self, person_no: int) -> list[HubMessage]:
        """Return the messages that a teacher has not put away and that are not over, newest first."""
        now_ms = self._clock.now_ms()
        news = self._news
        shown = [each for each in news.messages if each.until_ms > now_ms and (each.no, person_no) not in news.read]
        return shown[:MESSAGES_SHOWN]

    def offers(self) -> list[HubOffer]:
        """Return the newest version of each pack that the hub has and this box has not, without those taken back."""
        newest: dict[str, HubOffer] = {}
        for offer in self._news.offers:
            installed = self._library.shelf.current.get(offer.pack)
            is_news = installed is None or installed.version < offer.version
            if is_news and (offer.pack, offer.version) not in self._library.trust.withdrawn:
                newest.setdefault(offer.pack, offer)
        return list(newest.values())

    async def put_away(self, message_no: int, person_no: int) -> None:
        """Show a message to this teacher no more. Safe to repeat."""
        await self._database.write(lambda connection: hub_news.mark_read(connection, message_no, person_no))
        await self.reload()
