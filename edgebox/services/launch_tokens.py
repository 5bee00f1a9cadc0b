"""The two secrets of a launch: the key of its fetch address, and the token that address gives out once.

Both are made of the session and the box's key: nothing on the disk gives anybody a right, and both outlive a restart.
"""

import hmac
from base64 import b64encode
from hashlib import blake2b
from typing import Any

from content_packs.base import ids
from content_packs.base.clock import Clock
from edgebox.domain.caller import Caller
from edgebox.domain.cmi5.session import Launch
from edgebox.services.identity import Identity
from edgebox.services.submit_token import TokenInvalid
from edgebox.store import launches
from edgebox.store.database import Database

LOGIN_PREFIX = "launch-"
_SEAL_BYTES = 20
_FETCH = b"edgebox fetch"
_TOKEN = b"edgebox launch"


class LaunchTokens:
    """Makes and checks the secrets of the launches of one box."""

    def __init__(self, database: Database, clock: Clock, identity: Identity) -> None:
        self._database = database
        self._clock = clock
        self._key = identity.submit_key

    def fetch_key(self, session: bytes) -> str:
        """Return the key of the fetch address of a session."""
        return f"{session.hex()}{self._seal(_FETCH, session)}"

    async def give_token(self, key: str) -> str | None:
        """Return the token of a launch, once; None when it was given out before, or its unit may not read.

        Raises:
            TokenInvalid: the box did not make this key.
        """
        session = self._session_in(key)
        now_ms = self._clock.now_ms()
        if not await self._database.write(lambda connection: launches.take_fetch(connection, session, now_ms)):
            return None
        login = f"{LOGIN_PREFIX}{session.hex()}"
        return b64encode(f"{login}:{self._seal(_TOKEN, session)}".encode()).decode()

    def _session_in(self, key: str) -> bytes:
        try:
            session = bytes.fromhex(key[: 2 * ids.ID_BYTES])
        except ValueError as error:
            raise TokenInvalid from error
        if not hmac.compare_digest(key[2 * ids.ID_BYTES :].encode(), self._seal(_FETCH, session).encode()):
            raise TokenInvalid
        return session

    async def check(self, login: str, secret: str) -> Caller:
        """Return what the unit with this token may do: nothing but hand in once its learner has left.

        Statements are judged when they are stored: once the session is over, only such as were stored come again.

        Raises:
            TokenInvalid
        """
        try:
            session = bytes.fromhex(login.removeprefix(LOGIN_PREFIX))
        except ValueError as error:
            raise TokenInvalid from error
        if not hmac.compare_digest(secret.encode(), self._seal(_TOKEN, session).encode()):
            raise TokenInvalid
        now_ms = self._clock.now_ms()
        found = await self._database.read(lambda connection: _find(connection, session, now_ms))
        if found is None:
            raise TokenInvalid
        launch, may_read = found
        return Caller(launch.person_no, None, None, may_record=True, may_read=may_read, launch=launch)

    async def note_read(self, launch: Launch, document: int) -> None:
        """Note that a unit read one of the documents that it has to read first."""
        await self._database.write(lambda connection: launches.note_read(connection, launch, document))

    def _seal(self, purpose: bytes, session: bytes) -> str:
        return blake2b(session, key=self._key, digest_size=_SEAL_BYTES, person=purpose).hexdigest()


def _find(connection: Any, session: bytes, now_ms: int) -> tuple[Launch, bool] | None:
    launch = launches.find_launch(connection, session)
    return None if launch is None else (launch, launches.may_read(connection, launch, now_ms))
