"""How the operator signs in: a one-time code printed by the hub's own command line, then a session."""

from content_packs.base import ids
from content_packs.base.clock import Clock
from content_packs.base.hashing import blake2b_256
from sync.hub.store import access
from sync.hub.store.worker import Store, Transaction

SESSION_LIFE_MS = 30 * 86_400_000


class Admin:
    """One-time codes and sessions of operators; only hashes of either are stored."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def make_code(self) -> str:
        """Return a new one-time code; older ones are void."""
        code = ids.new_token()
        await self._store.run(lambda connection: access.put_admin_code(connection, _digest(code)))
        return code

    async def make_first_code(self) -> str | None:
        """Return a code if none was ever given out."""
        had_code = await self._store.run(access.has_had_admin_code)
        return None if had_code else await self.make_code()

    async def sign_in(self, code: str) -> str | None:
        """Spend a code and return the token of a new session, or None when it is not the code."""
        token, now_ms = ids.new_token(), self._clock.now_ms()

        def start(connection: Transaction) -> bool:
            if not access.use_admin_code(connection, _digest(code.strip())):
                return False
            access.add_session(connection, _digest(token), now_ms, now_ms + SESSION_LIFE_MS)
            return True

        return token if await self._store.run(start) else None

    async def is_signed_in(self, token: str | None) -> bool:
        """Return whether the token is of a session that is not over."""
        if not token:
            return False
        now_ms = self._clock.now_ms()
        return await self._store.run(lambda connection: access.has_session(connection, _digest(token), now_ms))

    async def sign_out(self, token: str | None) -> None:
        """End a session; safe to repeat."""
        if token:
            await self._store.run(lambda connection: access.remove_session(connection, _digest(token)))


def _digest(secret: str) -> bytes:
    return blake2b_256(b"edgebox hub admin\0" + secret.encode("utf-8", "replace"))
