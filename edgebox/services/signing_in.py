"""Who is signed in: checks secrets, makes and ends sessions, makes the first teacher."""

import asyncio
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from content_packs.base import ids
from content_packs.base.clock import Clock
from content_packs.base.errors import N_, EdgeboxError
from content_packs.base.hashing import blake2b_256
from edgebox.domain import secret as secrets_rules
from edgebox.domain.lifetime import LIFETIMES
from edgebox.domain.secret import SecretKind, check_secret
from edgebox.domain.session import Role, Session
from edgebox.services.identity import Identity
from edgebox.services.secret_hashing import SecretHashing
from edgebox.services.signed_in import SignedIn, token_hash
from edgebox.store import roster, sessions
from edgebox.store.database import Database
from edgebox.store.roster import Connection
from edgebox.store.sessions import Secret

_UNKNOWN_LOGINS = 1024
_SET_UP_NO = -_UNKNOWN_LOGINS - 1
_SECOND_MS = 1000


class SignInFailed(EdgeboxError):
    """The secret is not that person's, or there is no such person: the answer does not tell which."""

    code = "sign_in.failed"
    status = 401
    exit_code = 66
    sentence = N_("That is not right.")
    remedy = N_("Try again. If you forgot your secret, ask your teacher.")


class SignInDelayed(EdgeboxError):
    """Too many wrong tries from this browser: the next one has to wait."""

    code = "sign_in.delayed"
    status = 429
    exit_code = 67
    retryable = True
    sentence = N_("Too many tries. Wait {wait_seconds} seconds.")
    remedy = N_("Then try again, or ask your teacher for help.")


class StaffSignInFailed(SignInFailed):
    """Likewise, at the door of the teachers."""

    code = "sign_in.staff_failed"
    exit_code = 102
    remedy = N_("Try again. If you forgot your password, ask your technician for a new one.")


class StaffSignInDelayed(SignInDelayed):
    """Likewise, at the door of the teachers."""

    code = "sign_in.staff_delayed"
    exit_code = 103
    remedy = N_("Then try again, or ask your technician for help.")


class SetUpRefused(EdgeboxError):
    """The one-time code is wrong or used up."""

    code = "sign_in.set_up_refused"
    status = 403
    exit_code = 69
    sentence = N_("This set-up code is not valid.")
    remedy = N_("Use the code the box prints when it starts without a teacher.")


@dataclass(frozen=True)
class NewSecret:
    """A fresh secret, shown once on a card."""

    person_no: int
    kind: SecretKind
    secret: str


class SigningIn:
    """Sessions and secrets of a box.

    Attributes:
        set_up_code: makes the first teacher; None once there is one.
    """

    def __init__(self, database: Database, clock: Clock, identity: Identity, hashing: SecretHashing) -> None:
        self._database = database
        self._clock = clock
        self._hashing = hashing
        self._signed_in = SignedIn(clock, identity.submit_key)
        self._touching: set[asyncio.Task[None]] = set()
        self.set_up_code: str | None = None

    @classmethod
    async def open(cls, database: Database, clock: Clock, identity: Identity) -> "SigningIn":
        """Load the living sessions; make a new set-up code while there is no teacher."""
        service = cls(database, clock, identity, await asyncio.to_thread(SecretHashing))
        now_ms = clock.now_ms()
        await database.write(lambda connection: sessions.forget_old_tries(connection, now_ms))
        for row in await database.read(lambda connection: sessions.list_live(connection, now_ms)):
            service._signed_in.add(row)
        if not await database.read(roster.has_teacher):
            service.set_up_code = secrets_rules.draw_code(ids.random_bytes(secrets_rules.CODE_CHARACTERS))
            code_hash = _code_hash(service.set_up_code)
            await database.write(lambda connection: sessions.store_set_up_code(connection, code_hash))
        return service

    def find_session(self, token: str, *, is_use: bool = True) -> Session | None:
        """Return the living session of a cookie, from memory; a page that refreshes itself is no use of it."""
        session = self._signed_in.find(token, is_use=is_use)
        if is_use and session is not None and self._signed_in.is_touch_due(session):
            task = asyncio.get_running_loop().create_task(self._touch(session))
            self._touching.add(task)
            task.add_done_callback(self._touching.discard)
        return session

    async def sign_in_learner(self, person_no: int, secret_kind: SecretKind, secret: str, device_key: str) -> str:
        """Return the token of a new session.

        Raises:
            SignInFailed, SignInDelayed, SignInBusy
        """

        def find(connection: Connection) -> Secret:
            return sessions.learner_secret(connection, person_no)

        return await self._sign_in(find, secret_kind, secret, device_key)

    async def sign_in_staff(self, login: str, password: str, device_key: str) -> str:
        """Return the token of a new session; an unknown login takes the same steps as a wrong password.

        Raises:
            StaffSignInFailed, StaffSignInDelayed, SignInBusy
        """
        folded = login.strip().casefold()[: secrets_rules.SECRET_MAX_CHARACTERS]
        unknown_no = -1 - int.from_bytes(blake2b_256(folded.encode(errors="replace"))[:2], "big") % _UNKNOWN_LOGINS

        def find(connection: Connection) -> Secret:
            return sessions.staff_secret(connection, folded, unknown_no)

        try:
            return await self._sign_in(find, SecretKind.PASSWORD, password, device_key)
        except SignInFailed as error:
            raise StaffSignInFailed from error

    async def sign_out(self, session: Session) -> None:
        """End one session."""
        self._signed_in.remove(session.token_hash)
        await self._database.write(lambda connection: sessions.delete_session(connection, session.token_hash))

    async def sign_out_person(self, person_no: int) -> None:
        """End all sessions of a person: for the teacher's screen, and before a person is removed."""
        self._signed_in.remove_person(person_no)
        await self._database.write(lambda connection: sessions.delete_sessions_of(connection, person_no))

    async def forgive(self, person_no: int) -> None:
        """Forget all wrong tries for a person: the teacher's nod."""
        await self._database.write(lambda connection: sessions.delete_tries_of(connection, person_no))

    async def set_up_staff(self, code: str, login: str, name: str, password: str, device_key: str = "") -> str:
        """Make the first teacher with the one-time code, and return the token of a session.

        Raises:
            SecretWeak: the password is; this counts as no try.
            SetUpRefused, StaffSignInDelayed: the code is wrong or used up; nothing was changed.
        """
        check_secret(SecretKind.PASSWORD, password, login)
        await self._begin_try(lambda _: Secret(_SET_UP_NO, None, None), device_key, StaffSignInDelayed)
        code_hash = _code_hash(code)
        if not await self._database.read(lambda connection: _is_set_up_code(connection, code_hash)):
            raise SetUpRefused
        password_hash = await self._hashing.hash(password)
        now_ms = self._clock.now_ms()

        def make(connection: Connection) -> int:
            if not _is_set_up_code(connection, code_hash):
                raise SetUpRefused
            sessions.store_set_up_code(connection, None)
            sessions.delete_tries_of(connection, _SET_UP_NO)
            person_no = roster.insert_teacher(connection, now_ms, login, name)
            sessions.store_secret(connection, person_no, SecretKind.PASSWORD.value, password_hash)
            return person_no

        person_no = await self._database.write(make)
        self.set_up_code = None
        return await self._open_session(person_no, Role.TEACHER, device_key)

    async def add_staff(self, login: str, name: str, password: str) -> int:
        """Make a teacher with a password and return the number; uses the set-up code up.

        Raises:
            SecretWeak, LoginTaken
        """
        check_secret(SecretKind.PASSWORD, password, login)
        password_hash = await self._hashing.hash(password)
        now_ms = self._clock.now_ms()

        def make(connection: Connection) -> int:
            person_no = roster.insert_teacher(connection, now_ms, login, name)
            sessions.store_secret(connection, person_no, SecretKind.PASSWORD.value, password_hash)
            sessions.store_set_up_code(connection, None)
            return person_no

        person_no = await self._database.write(make)
        self.set_up_code = None
        return person_no

    async def set_secret(self, person_no: int, kind: SecretKind, secret: str) -> None:
        """Replace a person's secret and end all of the person's sessions.

        Raises:
            SecretWeak, PersonUnknown
        """
        person = await self._database.read(lambda connection: roster.find_person(connection, person_no))
        check_secret(kind, secret, person["login"])
        secret_hash = await self._hashing.hash(secret)
        await self._database.write(
            lambda connection: sessions.store_secret(connection, person_no, kind.value, secret_hash)
        )
        self._signed_in.remove_person(person_no)

    async def set_password(self, login: str, password: str) -> str:
        """Replace the password of the teacher with that login, end all of the teacher's sessions, return the name.

        Raises:
            SecretWeak, LoginUnknown
        """
        teacher = await self._database.read(lambda connection: roster.find_teacher(connection, login))
        await self.set_secret(teacher["no"], SecretKind.PASSWORD, password)
        return str(teacher["given_name"])

    async def new_secrets(self, person_nos: Sequence[int], kind: SecretKind) -> list[NewSecret]:
        """Give learners fresh picture rows or PINs and return them for the cards; the old ones stop working."""
        made = [NewSecret(person_no, kind, _draw(kind)) for person_no in person_nos]
        await asyncio.gather(*(self.set_secret(new.person_no, kind, new.secret) for new in made))
        return made

    async def set_language(self, person_no: int, language: str | None) -> None:
        """Keep the interface language a person chose, and use it from the next request on."""
        self._signed_in.set_language(person_no, language)
        await self._database.write(lambda connection: sessions.store_language(connection, person_no, language))

    async def _sign_in(
        self, find: Callable[[Connection], Secret], kind: SecretKind, secret: str, device_key: str
    ) -> str:
        is_staff = kind is SecretKind.PASSWORD
        # A place before the try counts: who finds none has not been wrong.
        with self._hashing.place():
            known = await self._begin_try(find, device_key, StaffSignInDelayed if is_staff else SignInDelayed)
            stored_hash = known.hash if known.kind == kind.value else None
            if not await self._hashing.verify(stored_hash, secret):
                raise SignInFailed
        now_ms = self._clock.now_ms()
        await self._database.write(lambda connection: sessions.end_try(connection, known.person_no, device_key, now_ms))
        return await self._open_session(known.person_no, Role.TEACHER if is_staff else Role.LEARNER, device_key)

    async def _begin_try(
        self, find: Callable[[Connection], Secret], device_key: str, delayed: type[SignInDelayed]
    ) -> Secret:
        now_ms = self._clock.now_ms()

        def begin(connection: Connection) -> tuple[Secret, int]:
            known = find(connection)
            return known, sessions.begin_try(connection, known.person_no, device_key, now_ms)

        known, wait_ms = await self._database.write(begin)
        if wait_ms:
            raise delayed(wait_seconds=-(-wait_ms // _SECOND_MS))
        return known

    async def _open_session(self, person_no: int, role: Role, device_key: str) -> str:
        token, now_ms = ids.new_token(), self._clock.now_ms()
        hashed, expires_ms = token_hash(token), now_ms + LIFETIMES[role].total_ms

        def insert(connection: Connection) -> None:
            sessions.delete_sessions_on(connection, device_key)
            sessions.insert_session(connection, hashed, person_no, device_key, now_ms, expires_ms)

        await self._database.write(insert)
        row = await self._database.read(lambda connection: sessions.find_live(connection, hashed))
        if row is None:  # the secret was changed in the meantime
            raise SignInFailed
        self._signed_in.remove_device(device_key)
        self._signed_in.add(row)
        return token

    async def _touch(self, session: Session) -> None:
        now_ms = self._clock.now_ms()
        await self._database.write(lambda connection: sessions.touch_session(connection, session.token_hash, now_ms))


def _draw(kind: SecretKind) -> str:
    while (drawn := secrets_rules.draw_secret(kind, ids.random_bytes(secrets_rules.RANDOM_BYTES))) is None:
        pass
    return drawn


def _code_hash(code: str) -> bytes:
    return blake2b_256(secrets_rules.plain_code(code).encode(errors="replace"))


def _is_set_up_code(connection: Connection, code_hash: bytes) -> bool:
    stored = sessions.set_up_code_hash(connection)
    return stored is not None and hmac.compare_digest(stored, code_hash)
