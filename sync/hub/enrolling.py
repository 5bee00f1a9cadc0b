"""Give out one-time codes and enrol boxes with them."""

from typing import Any

from content_packs.base import ids
from content_packs.base.clock import Clock
from content_packs.base.signing import SignatureInvalid
from sync import enrolment
from sync.hub.errors import EnrolmentCodeInvalid, EnrolmentProofInvalid, TooManyTries
from sync.hub.keys import HubKeys
from sync.hub.store import boxes
from sync.hub.store.worker import Store, Transaction

CODE_LIFE_MS = 7 * boxes.DAY_MS
TRIES_MAX = 10
TRIES_WINDOW_MS = 600_000
_PLACES_MAX = 10_000


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
    """Codes out, boxes in."""

    def __init__(self, store: Store, keys: HubKeys, clock: Clock) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._tries = Tries(clock)

    async def make_code(self, school_title: str) -> str:
        """Return a new code for a box of this school; it is good for one box and seven days."""
        secret = ids.random_bytes(enrolment.SECRET_BYTES)
        now_ms = self._clock.now_ms()
        digest = enrolment.code_hash(secret)
        await self._store.run(
            lambda connection: boxes.add_code(connection, digest, school_title, now_ms, now_ms + CODE_LIFE_MS)
        )
        return enrolment.make_code(secret, self._keys.signing.verify_key)

    async def enroll(self, request: Any, place: str) -> dict[str, Any]:
        """Enrol a box and return the signed answer.

        Raises:
            TooManyTries, EnrolmentCodeInvalid, EnrolmentProofInvalid, EnrolmentRefused.
        """
        self._tries.check(place)
        try:
            secret, key = enrolment.check_request(request)
        except SignatureInvalid as error:
            self._tries.note_wrong(place)
            raise EnrolmentProofInvalid from error
        now_ms, digest = self._clock.now_ms(), enrolment.code_hash(secret)

        def admit(connection: Transaction) -> int:
            return boxes.add_box(connection, key, boxes.use_code(connection, digest, key.key_id, now_ms), now_ms)

        try:
            box_no = await self._store.run(admit)
        except EnrolmentCodeInvalid:
            self._tries.note_wrong(place)
            raise
        self._tries.note_right(place)
        return enrolment.make_answer(secret, key, box_no, self._keys.signing, self._keys.sealing.public)
