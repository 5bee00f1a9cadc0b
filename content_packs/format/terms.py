"""What a pack says of itself in terms of schema.org and LRMI beyond titles: accessibility, credits, prerequisites.

All of these may be absent. What is absent is left out of the record, so that there is one form for "nothing".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from content_packs.format import texts
from content_packs.format.fields import LIST_MAX, Fields, is_pack_id

UNIT_MAX = 80

_TERM = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,79}")
_CREDITS = re.compile(r"(0|[1-9][0-9]{0,3})(\.[0-9]{1,2})?")
_AGES = re.compile(r"[0-9]{1,2}-([0-9]{1,2})?")


@dataclass(frozen=True, slots=True)
class Accessibility:
    """For whom something can be used, in the terms of the W3C's accessibility vocabulary for schema.org.

    Attributes:
        modes: `accessMode`, the senses it speaks to, such as `visual`.
        features: `accessibilityFeature`, such as `captions`.
        hazards: `accessibilityHazard`, such as `noFlashingHazard`.
    """

    modes: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    hazards: tuple[str, ...] = ()


NOTHING_SAID = Accessibility()


@dataclass(frozen=True, slots=True)
class Credits:
    """What completing counts for: a decimal number of some unit, such as 2.5 of `ECTS`."""

    value: str
    unit: str


@dataclass(frozen=True, slots=True)
class Prerequisite:
    """What a learner should know before; `pack` is the pack that teaches it, where there is one."""

    title: Mapping[str, str]
    pack: str | None = None


def is_term(text: str) -> bool:
    """Return whether `text` has the form of a term of a vocabulary: a letter, then letters, digits and hyphens."""
    return _TERM.fullmatch(text) is not None


def is_credit_value(text: str) -> bool:
    """Return whether `text` is a decimal number below 10,000 with at most two decimals, more than nothing."""
    return _CREDITS.fullmatch(text) is not None and text.strip("0.") != ""


def is_age_range(text: str) -> bool:
    """Return whether `text` is a range of ages in years such as `8-10`, or open as in `16-`."""
    if _AGES.fullmatch(text) is None:
        return False
    low, high = text.split("-")
    return not high or int(low) <= int(high)


def accessibility_record(accessibility: Accessibility) -> dict[str, Any]:
    """Return the keys that stand for `accessibility` in a record."""
    record = {
        "accessMode": accessibility.modes,
        "accessibilityFeature": accessibility.features,
        "accessibilityHazard": accessibility.hazards,
    }
    return {key: values for key, values in record.items() if values}


def read_accessibility(fields: Fields) -> Accessibility:
    """Return what a record says of accessibility.

    Raises:
        ManifestMalformed: a value that is no term of a vocabulary, or one that is there twice.
    """
    return Accessibility(
        modes=_read_terms(fields, "accessMode"),
        features=_read_terms(fields, "accessibilityFeature"),
        hazards=_read_terms(fields, "accessibilityHazard"),
    )


def credits_record(credits_: Credits) -> dict[str, str]:
    """Return the record of `credits_`, a schema.org StructuredValue."""
    return {"value": credits_.value, "unitText": credits_.unit}


def read_credits(value: Any) -> Credits:
    """Return the credits in a record.

    Raises:
        ManifestMalformed: not a positive decimal number, or no unit.
    """
    fields = Fields(value, "numberOfCredits")
    found = Credits(fields.text("value"), fields.text("unitText", longest=UNIT_MAX))
    if not is_credit_value(found.value):
        raise fields.fault("value")
    return found


def prerequisite_record(prerequisite: Prerequisite) -> dict[str, Any]:
    """Return the record of one prerequisite."""
    named = {"pack": prerequisite.pack} if prerequisite.pack is not None else {}
    return {"title": dict(prerequisite.title)} | named


def read_prerequisite(value: Any, place: int) -> Prerequisite:
    """Return the prerequisite in a record; `place` is its number, for errors.

    Raises:
        ManifestMalformed: it has no title, or names what cannot be a pack.
    """
    fields = Fields(value, f"coursePrerequisites.{place}")
    pack = fields.text("pack") if fields.has("pack") else None
    if pack is not None and not is_pack_id(pack):
        raise fields.fault("pack")
    return Prerequisite(fields.some_by_language("title", longest=texts.TITLE_MAX), pack)


def read_age_range(fields: Fields) -> str:
    """Return `typicalAgeRange`, empty when it is absent.

    Raises:
        ManifestMalformed: it is no range of ages.
    """
    found = fields.maybe_text("typicalAgeRange")
    if found and not is_age_range(found):
        raise fields.fault("typicalAgeRange")
    return found


def read_roles(fields: Fields) -> tuple[str, ...]:
    """Return `educationalRole`: for whom it is, such as `student` or `teacher`.

    Raises:
        ManifestMalformed: a value that is no term of a vocabulary.
    """
    return _read_terms(fields, "educationalRole")


def _read_terms(fields: Fields, key: str) -> tuple[str, ...]:
    values = fields.maybe_strings(key, most=LIST_MAX)
    if not all(map(is_term, values)):
        raise fields.fault(key)
    return values
