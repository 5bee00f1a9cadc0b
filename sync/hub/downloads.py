"""How many files of the depot are being sent, in all and to one address; one more is told to come back later."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

AT_ONCE_MAX = 128
PER_ADDRESS_MAX = 16


class Downloads:
    """Counts the answers under way, so that neither a crowd nor one who takes nothing keeps the hub from its work."""

    def __init__(self) -> None:
        self._of_address: Counter[str] = Counter()

    @contextmanager
    def turn(self, address: str) -> Iterator[None]:
        """Hold a place.

        Raises:
            HTTPServiceUnavailable: there is none.
        """
        if self._of_address.total() >= AT_ONCE_MAX or self._of_address[address] >= PER_ADDRESS_MAX:
            raise web.HTTPServiceUnavailable(reason="depot")
        self._of_address[address] += 1
        try:
            yield
        finally:
            self._of_address[address] -= 1
            self._of_address += Counter()
