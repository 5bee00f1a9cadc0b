"""The signed-in browsers of a box, in memory: found by the hash of their token, without a query."""

from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, Protocol

from content_packs.base.clock import Clock
from content_packs.base.hashing import blake2b_256
from edgebox.domain.lifetime import LIFETIMES, left_ms
from edgebox.domain.session import Role, Session

TOKEN_CHARACTERS = 40
TOUCH_AFTER_MS = 5 * 60 * 1000
SWEEP_FROM_SESSIONS = 64
_CSRF = b"edgebox csrf"


class SessionRow(Protocol):
    """A row of `sessions.list_live`: columns by name."""

    def __getitem__(self, name: str, /) -> Any:
        """Return one column."""


@dataclass
class _Entry:
    """A session with its ends on the monotonic clock, which nobody sets back."""

    session: Session
    ends_ms: int
    idle_ends_ms: int
    touched_ms: int

    def is_over(self, now_ms: int) -> bool:
        return now_ms >= min(self.ends_ms, self.idle_ends_ms)


class SignedIn:
    """All living sessions."""

    def __init__(self, clock: Clock, secret: bytes) -> None:
        self._clock = clock
        self._secret = secret
        self._entries: dict[bytes, _Entry] = {}
        self._sweep_at = SWEEP_FROM_SESSIONS

    def add(self, row: SessionRow) -> Session | None:
        """Take in a stored session; None when it is over."""
        role = Role(row["role"])
        total_ms, idle_ms = left_ms(LIFETIMES[role], row["seen_ms"], row["expires_ms"], self._clock.now_ms())
        if total_ms <= 0 or idle_ms <= 0:
            return None
        session = Session(
            token_hash=row["token_hash"],
            person_no=row["person_no"],
            role=role,
            pseudonym=row["pseudonym"],
            given_name=row["given_name"],
            avatar=row["avatar"],
            language=row["language"],
            device_key=row["device_key"],
            csrf=blake2b(row["token_hash"], key=self._secret, person=_CSRF, digest_size=16).hexdigest(),
        )
        now_ms = self._clock.monotonic_ms()
        self._sweep(now_ms)
        self._entries[session.token_hash] = _Entry(session, now_ms + total_ms, now_ms + idle_ms, now_ms)
        return session

    def find(self, token: str, *, is_use: bool = True) -> Session | None:
        """Return the living session of a token, and count this as use unless nobody did anything."""
        if len(token) != TOKEN_CHARACTERS or not token.isascii():
            return None
        entry = self._entries.get(token_hash(token))
        if entry is None:
            return None
        now_ms = self._clock.monotonic_ms()
        if entry.is_over(now_ms):
            del self._entries[entry.session.token_hash]
            return None
        if is_use:
            entry.idle_ends_ms = now_ms + LIFETIMES[entry.session.role].idle_ms
        return entry.session

    def _sweep(self, now_ms: int) -> None:
        """Forget what is over, once the table has doubled: a browser that never comes back asks for no removal."""
        if len(self._entries) < self._sweep_at:
            return
        self._entries = {key: entry for key, entry in self._entries.items() if not entry.is_over(now_ms)}
        self._sweep_at = max(SWEEP_FROM_SESSIONS, 2 * len(self._entries))

    def is_touch_due(self, session: Session) -> bool:
        """Tell, once every five minutes, that the use of a session should be stored."""
        entry, now_ms = self._entries[session.token_hash], self._clock.monotonic_ms()
        is_due = now_ms - entry.touched_ms >= TOUCH_AFTER_MS
        if is_due:
            entry.touched_ms = now_ms
        return is_due

    def remove(self, token_hash: bytes) -> None:
        """Forget one session; safe to repeat."""
        self._entries.pop(token_hash, None)

    def remove_person(self, person_no: int) -> None:
        """Forget all sessions of a person."""
        self._entries = {key: entry for key, entry in self._entries.items() if entry.session.person_no != person_no}

    def remove_device(self, device_key: str) -> None:
        """Forget whoever is signed in on a browser."""
        self._entries = {key: entry for key, entry in self._entries.items() if entry.session.device_key != device_key}

    def set_language(self, person_no: int, language: str | None) -> None:
        """Change the language in the sessions of a person."""
        for entry in self._entries.values():
            if entry.session.person_no == person_no:
                entry.session = replace(entry.session, language=language)


def token_hash(token: str) -> bytes:
    """Return what is stored of a token."""
    return blake2b_256(token.encode())
