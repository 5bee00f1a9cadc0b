"""Lists of statements by whom and what they are about, made of the log block by block while nobody waits."""

from edgebox.store import listing
from edgebox.store.database import Database


class Indexing:
    """Makes the lists of blocks that are full."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_due(self) -> None:
        """List every block that is full and not listed; what was done stays done when this is cancelled."""
        while (block := await self._database.read(listing.find_due_block)) is not None:
            await self._list(block)

    async def _list(self, block: int) -> None:
        # Read beside the writer: a block that is full does not change any more.
        lists = await self._database.read(lambda connection: listing.read_lists(connection, block))
        await self._database.write(lambda connection: listing.store_lists(connection, block, lists))
