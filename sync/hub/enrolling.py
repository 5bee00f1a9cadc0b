"""Give out one-time codes and tickets, enrol boxes with them, and follow a box from one key to the next."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from content_packs.base import ids
from content_packs.base.clock import Clock
from content_packs.base.signing import SignatureInvalid, VerifyKey
from sync import enrolment, introduction
from sync.bundle.errors import BundleUnknownOrigin
from sync.hub.errors import (
    BoxUnknown,
    EnrolmentCodeInvalid,
    EnrolmentProofInvalid,
    RequestMalformed,
    TooManyTries,
)
from sync.hub.keys import HubKeys
from sync.hub.store import boxes
from sync.hub.store.boxes import Invitation
from sync.hub.store.worker import Store, Transaction
from sync.introduction import Answer, IntroductionKind, Ticket

CODE_LIFE_MS = 7 * boxes.DAY_MS
TRIES_MAX = 10
TRIES_WINDOW_MS = 600_000
_PLACES_MAX = 10_000


@dataclass(frozen=True)
class Made:
    """A new ticket and its file."""

    ticket: Ticket
    content: bytes


class Tries:
    """Counts wrong tries per place within a window; a right one clears the place."""

    def __init__(self, clock: Clock, tries_max: int = TRIES_MAX, window_ms: int = TRIES_WINDOW_MS) -> None:
        self._clock = clock
        self._tries_max = tries_max
        self._window_ms = window_ms
        self._wrong: dict[str, list[int]] = {}

    def check(self, place: str) -> None:
        """Return if the place may try.

        Raises:
            TooManyTries: it was wrong too often.
        """
        if len(self._recent(place)) >= self._tries_max:
            raise TooManyTries

    def note_wrong(self, place: str) -> None:
        """Count a wrong try."""
        if len(self._wrong) >= _PLACES_MAX:
            self._wrong.clear()
        self._wrong[place] = [*self._recent(place), self._clock.monotonic_ms()]

    def note_right(self, place: str) -> None:
        """Forget the wrong tries of a place."""
        self._wrong.pop(place, None)

    def _recent(self, place: str) -> list[int]:
        since_ms = self._clock.monotonic_ms() - self._window_ms
        return [at_ms for at_ms in self._wrong.get(place, ()) if at_ms > since_ms]


class Enrolling:
    """Codes and tickets out, boxes in."""

    def __init__(self, store: Store, keys: HubKeys, clock: Clock) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._tries = Tries(clock)

    async def make_code(self, school_title: str, replaces_no: int | None = None) -> str:
        """Return a new code for a box of this school, or for one that takes the place of another, of whatever school.

        It is good for one box and seven days.

        Raises:
            BoxUnknown: there is no box to be replaced.
        """
        secret, _invitation = await self._invite(school_title, replaces_no, self._clock.now_ms())
        return enrolment.make_code(secret, self._keys.signing.verify_key)

    async def make_ticket(self, school_title: str, url: str, replaces_no: int | None = None) -> Made:
        """Return the file of a new ticket, to be carried to a box; as good as a code.

        Raises:
            BoxUnknown: there is no box to be replaced.
            RequestMalformed: the address is none.
        """
        if not introduction.is_address(url) or len(url) > introduction.URL_MAX_BYTES:
            raise RequestMalformed(reason="address")
        now_ms = self._clock.now_ms()
        secret, invitation = await self._invite(school_title, replaces_no, now_ms)
        ticket = Ticket(
            hub=self._keys.signing.verify_key,
            sealing_key=self._keys.sealing.public,
            url=url,
            school=invitation.school,
            secret=secret,
            created_ms=max(now_ms, 0),
            expires_ms=max(now_ms + CODE_LIFE_MS, 0),
            replaces_no=replaces_no or 0,
        )
        return Made(ticket, introduction.write_ticket(ticket, self._keys.signing))

    async def enroll(self, request: Any, place: str) -> dict[str, Any]:
        """Enrol a box and return the signed answer.

        Raises:
            TooManyTries, EnrolmentCodeInvalid, EnrolmentCodeUsed, EnrolmentExpired, EnrolmentProofInvalid,
            EnrolmentRefused, BoxRevoked.
        """
        with self._counted(place):
            try:
                secret, key = enrolment.check_request(request)
            except SignatureInvalid as error:
                raise EnrolmentProofInvalid from error
            box_no = await self._admit(secret, key)
        return enrolment.make_answer(secret, key, box_no, self._keys.signing, self._keys.sealing.public)

    async def introduce(self, content: bytes, place: str) -> bytes:
        """Take a request or a succession and return the signed answer; safe to repeat. `place` is empty for a stick.

        Raises:
            Like `enroll`; BundleUnknownOrigin: a succession of keys of which none is known here.
        """
        with self._counted(place):
            if introduction.kind_of_file(content) is IntroductionKind.SUCCESSION:
                key, box_no = await self._succeed(content)
            else:
                request = await asyncio.to_thread(introduction.read_request, content, self._keys.sealing)
                key, box_no = request.box, await self._admit(request.secret, request.box)
        return self._answer(content, key.key_id, box_no)

    def refuse(self, content: bytes, box_id: bytes, code: str) -> bytes:
        """Return the answer to a box that what it told was refused; for those who have no line."""
        return self._answer(content, box_id, 0, code)

    async def revoke(self, box_no: int, *, is_undone: bool = False) -> None:
        """Take nothing from a box any more, or take from it again.

        Raises:
            BoxUnknown: there is no such box.
        """
        now_ms = None if is_undone else self._clock.now_ms()
        if not await self._store.run(lambda connection: boxes.revoke(connection, box_no, now_ms)):
            raise BoxUnknown(box_no=box_no)

    async def _invite(self, school_title: str, replaces_no: int | None, now_ms: int) -> tuple[bytes, Invitation]:
        secret = ids.random_bytes(enrolment.SECRET_BYTES)
        digest = enrolment.code_hash(secret)

        def add(connection: Transaction) -> Invitation:
            title = school_title if replaces_no is None else boxes.find_school_of(connection, replaces_no)
            if title is None:
                raise BoxUnknown(box_no=replaces_no)
            invitation = Invitation(title, replaces_no)
            boxes.add_code(connection, digest, invitation, now_ms, now_ms + CODE_LIFE_MS)
            return invitation

        return secret, await self._store.run(add)

    async def _admit(self, secret: bytes, key: VerifyKey) -> int:
        now_ms, digest = self._clock.now_ms(), enrolment.code_hash(secret)
        return await self._store.run(
            lambda connection: boxes.add_box(
                connection, key, boxes.use_code(connection, digest, key.key_id, now_ms), now_ms
            )
        )

    async def _succeed(self, content: bytes) -> tuple[VerifyKey, int]:
        succession = await asyncio.to_thread(introduction.read_succession, content)
        keys, now_ms = succession.keys, self._clock.now_ms()
        box_no = await self._store.run(lambda connection: boxes.succeed(connection, succession, now_ms))
        if box_no is None:
            raise BundleUnknownOrigin(origin=keys[-1].key_id.hex()[:12])
        return keys[-1], box_no

    def _answer(self, content: bytes, box_id: bytes, box_no: int, code: str = "") -> bytes:
        hub_id = self._keys.signing.verify_key.key_id
        answer = Answer(hub_id, box_id, introduction.about(content), box_no, code[: introduction.CODE_MAX_BYTES])
        return introduction.write_answer(answer, self._keys.signing)

    @contextmanager
    def _counted(self, place: str) -> Iterator[None]:
        """Let a place guess only so often; a stick is a place of its own each time."""
        if not place:
            yield
            return
        self._tries.check(place)
        try:
            yield
        except (EnrolmentProofInvalid, EnrolmentCodeInvalid):
            self._tries.note_wrong(place)
            raise
        self._tries.note_right(place)
