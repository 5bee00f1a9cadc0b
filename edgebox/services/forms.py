"""Room for what anybody sends before the box can know who it is."""

from collections.abc import Iterator
from contextlib import contextmanager

from content_packs.base.errors import N_, EdgeboxError

FREE_BYTES = 64 * 1024  # what every connection may have on its way without being counted
TOGETHER_MAX_BYTES = 16 * 1024 * 1024


class FormsBusy(EdgeboxError):
    """Too many large forms come in at once, from who knows whom."""

    code = "record.forms_busy"
    status = 503
    exit_code = 175
    retryable = True
    sentence = N_("The box is receiving too much at once.")
    remedy = N_("Wait a moment and try again.")


class Forms:
    """How much of large forms is on its way."""

    def __init__(self) -> None:
        self._coming_bytes = 0

    @contextmanager
    def receiving(self, size_bytes: int) -> Iterator[None]:
        """Keep room for a form of at most this size while it is read.

        Raises:
            FormsBusy
        """
        counted_bytes = size_bytes if size_bytes > FREE_BYTES else 0
        if self._coming_bytes + counted_bytes > TOGETHER_MAX_BYTES:
            raise FormsBusy
        self._coming_bytes += counted_bytes
        try:
            yield
        finally:
            self._coming_bytes -= counted_bytes
