"""How much of the hub one box may take up while others want it: a small share, so that it delays nobody noticeably.

What delays others is the one thread that writes, and time in this process. Whatever a box costs of both is taken off
its credit, which grows by its share of the time that passes. A box without credit waits while others come that have
more left; on a hub that nobody else needs, and among boxes that all have much to send, it waits for nothing.
"""

from dataclasses import dataclass

SHARE = 1 / 30
REQUEST_SECONDS = 0.01  # what asking costs beside the work that is measured
CREDIT_MAX_SECONDS = 4.0  # a school day costs about one
DEBT_MAX_SECONDS = 10.0  # five minutes at its share
ACTIVE_SECONDS = 60.0
REFUSED_MAX = 3


@dataclass(slots=True)
class _Account:
    """What a box has left at a time, when it came last, and how many of its bundles in a row were refused."""

    credit_seconds: float
    at_seconds: float
    came_seconds: float = float("-inf")
    refused: int = 0

    def credit_at(self, now_seconds: float) -> float:
        earned = max(now_seconds - self.at_seconds, 0.0) * SHARE
        return min(self.credit_seconds + earned, CREDIT_MAX_SECONDS)


class Shares:
    """The accounts of the boxes that came since the hub was started; times are seconds of any steady clock."""

    def __init__(self) -> None:
        self._accounts: dict[bytes, _Account] = {}

    def come(self, origin: bytes, now_seconds: float) -> None:
        """Note that a box that is known asks for something."""
        self.charge(origin, REQUEST_SECONDS, now_seconds)
        self._account(origin, now_seconds).came_seconds = now_seconds

    def wait_seconds(self, origin: bytes, now_seconds: float) -> float:
        """Return how long a box has to wait before it is served, unless something changes meanwhile."""
        credit = self._account(origin, now_seconds).credit_at(now_seconds)
        if credit >= 0:
            return 0.0
        others = (
            account.credit_at(now_seconds)
            for other, account in self._accounts.items()
            if other != origin and now_seconds - account.came_seconds < ACTIVE_SECONDS
        )
        return max(min(max(others, default=credit), 0.0) - credit, 0.0) / SHARE

    def charge(self, origin: bytes, spent_seconds: float, now_seconds: float) -> None:
        """Take off what was done for a box."""
        account = self._account(origin, now_seconds)
        left_seconds = account.credit_at(now_seconds) - spent_seconds
        account.credit_seconds, account.at_seconds = max(left_seconds, -DEBT_MAX_SECONDS), now_seconds

    def note(self, origin: bytes, now_seconds: float, *, is_refused: bool) -> None:
        """Note whether a bundle of a box was worth what it cost."""
        account = self._account(origin, now_seconds)
        account.refused = account.refused + 1 if is_refused else 0

    def is_suspect(self, origin: bytes) -> bool:
        """Return whether the last bundles of a box were refused, one after the other."""
        account = self._accounts.get(origin)
        return account is not None and account.refused >= REFUSED_MAX

    def _account(self, origin: bytes, now_seconds: float) -> _Account:
        return self._accounts.setdefault(origin, _Account(CREDIT_MAX_SECONDS, now_seconds))
