"""Errors that were stored or sent as code and fields, as errors again."""

from collections.abc import Mapping
from typing import Any

from content_packs.base.errors import N_, EdgeboxError, all_error_classes


class ForeignError(EdgeboxError):
    """An error with a code that this program has no class for."""

    code = "box.foreign_error"
    exit_code = 112
    sentence = N_("Something went wrong ({recorded_code}).")
    remedy = N_("Try again. If it happens again, tell your technician.")


def error_of(record: Mapping[str, Any]) -> EdgeboxError:
    """Return the error that `EdgeboxError.as_record` gave this record for."""
    for error_class in all_error_classes():
        if error_class.code == record.get("code"):
            return error_class(**record.get("fields", {}))
    return ForeignError(recorded_code=record.get("code", ""))
