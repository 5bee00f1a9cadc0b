"""Credentials for outside clients: made and revoked by staff, checked with every request."""

import hmac
from hashlib import blake2b

from content_packs.base import ids
from content_packs.base.clock import Clock
from content_packs.base.errors import N_, EdgeboxError
from content_packs.format import texts
from edgebox.domain.caller import Caller, Client, Reach, caller_of
from edgebox.services.submit_token import TokenInvalid
from edgebox.store import clients
from edgebox.store.database import Database

TITLE_MAX_CHARACTERS = 80
_LOGIN_DIGITS = 12
_HASH_BYTES = 32


class ClientNameless(EdgeboxError):
    """A credential nobody could tell from another."""

    code = "record.client_nameless"
    status = 400
    exit_code = 6
    sentence = N_("The app needs a name, and a class if it is to read one.")
    remedy = N_("Write what the app is called, so that you know later what to take away.")


class Clients:
    """The credentials of a box."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def make(
        self,
        title: str,
        *,
        may_write: bool,
        reach: Reach,
        class_no: int | None,
        person_no: int,
        may_launch: bool = False,
    ) -> tuple[str, str]:
        """Make a credential and return its login and secret; the secret is kept nowhere.

        Raises:
            ClientNameless
        """
        plain = texts.make_plain(title).strip()[:TITLE_MAX_CHARACTERS]
        if not plain or (reach is Reach.CLASS) != (class_no is not None):
            raise ClientNameless
        login, secret, now_ms = f"app-{ids.new_token()[:_LOGIN_DIGITS]}", ids.new_token(), self._clock.now_ms()
        await self._database.write(
            lambda connection: clients.insert_client(
                connection,
                login,
                _hash(secret),
                title=plain,
                may_write=may_write,
                reach=reach,
                class_no=class_no,
                person_no=person_no,
                now_ms=now_ms,
                may_launch=may_launch,
            )
        )
        return login, secret

    async def list_all(self) -> list[Client]:
        """Return all credentials, revoked ones too."""
        return await self._database.read(clients.list_clients)

    async def revoke(self, client_no: int) -> None:
        """End a credential; what it wrote stays."""
        now_ms = self._clock.now_ms()
        await self._database.write(lambda connection: clients.revoke_client(connection, client_no, now_ms))

    async def check(self, login: str, secret: str) -> Caller:
        """Return what the holder may do.

        Raises:
            TokenInvalid: no such credential, or no longer.
        """
        found = await self._database.read(lambda connection: clients.find_client(connection, login))
        if found is None or not hmac.compare_digest(found[0], _hash(secret)):
            raise TokenInvalid
        return caller_of(found[1])


def _hash(secret: str) -> bytes:
    # The secret is 160 random bits, so nothing is gained by a slow hash.
    return blake2b(secret.encode(errors="replace"), digest_size=_HASH_BYTES).digest()
