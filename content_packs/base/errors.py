"""The root of all errors that a person or another program may meet.

An error carries a stable code and typed fields. The sentence a person reads is a gettext message id on the class,
filled with the fields after translation; logs print code and fields. Nothing else decides on HTTP status or exit code.
"""

from typing import Any, ClassVar


def N_(message: str) -> str:  # noqa: N802 - the conventional gettext marker
    """Mark a text for translation and return it unchanged."""
    return message


class EdgeboxError(Exception):
    """Base of every error with a code.

    Attributes:
        code: stable name, `area.what_happened`.
        status: HTTP status when it reaches a client.
        exit_code: of the command line; unique per class.
        retryable: whether doing the same again later can succeed.
        sentence: what happened, a message id with `{field}` placeholders.
        remedy: what to do next, likewise.
        fields: the values that fill the placeholders.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False
    sentence: ClassVar[str] = N_("Something went wrong.")
    remedy: ClassVar[str] = N_("Try again. If it happens again, tell your technician.")

    def __init__(self, **fields: Any) -> None:
        self.fields = fields
        super().__init__(fields)

    def __str__(self) -> str:
        listed = " ".join(f"{name}={value!r}" for name, value in self.fields.items())
        return f"{self.code} {listed}".rstrip()

    def as_record(self) -> dict[str, Any]:
        """Return code, fields and the retryable flag, for machine output."""
        return {"code": self.code, "fields": self.fields, "retryable": self.retryable}


def all_error_classes() -> list[type[EdgeboxError]]:
    """Return every subclass loaded so far, the root excluded."""
    found: list[type[EdgeboxError]] = []
    pending = list(EdgeboxError.__subclasses__())
    while pending:
        error_class = pending.pop()
        found.append(error_class)
        pending.extend(error_class.__subclasses__())
    return found
