"""Argon2id off the event loop, at most two at a time: each one takes 19 MiB and a core for a tenth of a second."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from content_packs.base import ids
from content_packs.base.errors import N_, EdgeboxError
from edgebox.domain.secret import normal_form

PARALLEL_HASHES = 2
WAITING_MAX = 400


class SignInBusy(EdgeboxError):
    """More people sign in at once than the box can check in reasonable time."""

    code = "sign_in.busy"
    status = 503
    exit_code = 93
    retryable = True
    sentence = N_("Too many people are signing in right now.")
    remedy = N_("Wait a moment and try again.")


class SecretHashing:
    """Hashes and checks secrets."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._dummy = self._hasher.hash(ids.random_bytes(ids.ID_BYTES))
        self._slots = asyncio.Semaphore(PARALLEL_HASHES)
        self._waiting = 0

    async def hash(self, secret: str) -> str:
        """Return what to store for a secret."""
        with self.place():
            async with self._slots:
                return await asyncio.to_thread(self._hasher.hash, normal_form(secret))

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold one of the places of those who wait for their turn.

        Raises:
            SignInBusy: all are taken.
        """
        if self._waiting >= WAITING_MAX:
            raise SignInBusy
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def verify(self, stored: str | None, secret: str) -> bool:
        """Tell whether `secret` is the stored one; takes as long when nothing is stored. Hold a `place` for it."""
        async with self._slots:
            return await asyncio.to_thread(self._verify, stored, normal_form(secret))

    def _verify(self, stored: str | None, secret: str) -> bool:
        try:
            return self._hasher.verify(stored or self._dummy, secret) and stored is not None
        except (VerificationError, InvalidHashError):
            return False
