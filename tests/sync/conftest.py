"""What tests of the way to the hub share."""

import pytest

from content_packs.fetch import pulse
from sync.engine import sender
from sync.transport import upload


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a box lose patience within a fraction of a second; the rules are those of a slow line."""
    monkeypatch.setattr(pulse, "SILENCE_MIN_MS", 100)
    monkeypatch.setattr(pulse, "DOUBT_MIN_MS", 50)
    monkeypatch.setattr(sender, "FIRST_WAIT_MS", 1)
    monkeypatch.setattr(upload, "LISTEN_SECONDS", 0.01)
