"""Typed reading of one decoded map, with the place of the fault in the error. Keys nobody asks for are ignored."""

import re
from collections.abc import Mapping
from typing import Any

from content_packs.format import texts
from content_packs.format.errors import ManifestMalformed

LIST_MAX = 100
LOCAL_PREFIX = "local."

_ID = re.compile(r"[a-z0-9]([a-z0-9-]{0,78}[a-z0-9])?")
_PACK_ID = re.compile(r"(?=.{3,80}\Z)[a-z0-9]+([.-][a-z0-9]+)*")


def is_pack_id(text: str) -> bool:
    """Return whether `text` can name a pack: parts of a-z and 0-9 between single dots or hyphens, 3 to 80 marks."""
    return _PACK_ID.fullmatch(text) is not None


def is_local(pack: str) -> bool:
    """Return whether a pack's id says that it was made at a school; no publisher may use such an id."""
    return pack.startswith(LOCAL_PREFIX)


def is_id(text: str) -> bool:
    """Return whether `text` can name a lesson, a resource or a question: a-z, 0-9 and inner hyphens, up to 80."""
    return _ID.fullmatch(text) is not None


class Fields:
    """The fields of one map; every method raises ManifestMalformed naming `place` and key."""

    def __init__(self, value: Any, place: str) -> None:
        self._place = place
        if not isinstance(value, dict):
            raise ManifestMalformed(reason=place or "manifest")
        self._map: Mapping[str, Any] = value

    def fault(self, key: str) -> ManifestMalformed:
        """Return the error that says that `key` is wrong."""
        return ManifestMalformed(reason=f"{self._place}.{key}".lstrip("."))

    def integer(self, key: str, *, low: int, high: int) -> int:
        """Return a required whole number from `low` to `high`."""
        value = self._map.get(key)
        if type(value) is not int or not low <= value <= high:
            raise self.fault(key)
        return value

    def binary(self, key: str, length: int) -> bytes:
        """Return required bytes of exactly this length."""
        value = self._map.get(key)
        if not isinstance(value, bytes) or len(value) != length:
            raise self.fault(key)
        return value

    def text(self, key: str, *, longest: int = texts.SHORT_MAX) -> str:
        """Return a required, possibly empty text."""
        value = self._map.get(key)
        if not isinstance(value, str) or len(value) > longest or not texts.is_plain(value):
            raise self.fault(key)
        return value

    def identifier(self, key: str) -> str:
        """Return a required id of a lesson or resource."""
        value = self.text(key)
        if not is_id(value):
            raise self.fault(key)
        return value

    def duration(self, key: str) -> str:
        """Return an ISO 8601 duration, or the empty text."""
        value = self.text(key)
        if value and not texts.is_duration(value):
            raise self.fault(key)
        return value

    def has(self, key: str) -> bool:
        """Return whether an optional key is there."""
        return key in self._map

    def value(self, key: str) -> Any:
        """Return whatever is under an optional key that is there, to be read by its own rules."""
        return self._map[key]

    def array(self, key: str, *, most: int) -> list[Any]:
        """Return a required array of at most `most` elements."""
        value = self._map.get(key)
        if not isinstance(value, list) or len(value) > most:
            raise self.fault(key)
        return value

    def strings(self, key: str, *, most: int) -> tuple[str, ...]:
        """Return a required array of short plain texts."""
        values = self.array(key, most=most)
        if not all(
            isinstance(value, str) and len(value) <= texts.SHORT_MAX and texts.is_plain(value) for value in values
        ):
            raise self.fault(key)
        return tuple(values)

    def by_language(self, key: str, *, longest: int) -> dict[str, str]:
        """Return a required map from language tag to plain text."""
        value = self._map.get(key)
        if not isinstance(value, dict) or len(value) > texts.LANGUAGES_MAX:
            raise self.fault(key)
        for language, text in value.items():
            if not texts.is_language(language) or not isinstance(text, str):
                raise self.fault(key)
            if len(text) > longest or not texts.is_plain(text):
                raise self.fault(key)
        return dict(value)

    def some_by_language(self, key: str, *, longest: int) -> dict[str, str]:
        """Return a required map from language tag to plain text with at least one text, and no empty one."""
        value = self.by_language(key, longest=longest)
        if not value or not all(value.values()):
            raise self.fault(key)
        return value

    def maybe_text(self, key: str) -> str:
        """Return a text that is absent when it would be empty."""
        found = self.text(key) if self.has(key) else ""
        if self.has(key) and not found:
            raise self.fault(key)
        return found

    def maybe_strings(self, key: str, *, most: int) -> tuple[str, ...]:
        """Return an array of short plain texts, each once, that is absent when it would be empty."""
        if not self.has(key):
            return ()
        values = self.strings(key, most=most)
        if not all(values) or not 0 < len(set(values)) == len(values):
            raise self.fault(key)
        return values

    def maybe_array(self, key: str, *, most: int) -> list[Any]:
        """Return an array that is absent when it would be empty."""
        values = self.array(key, most=most) if self.has(key) else []
        if self.has(key) and not values:
            raise self.fault(key)
        return values

    def maybe_by_language(self, key: str, *, longest: int) -> dict[str, str]:
        """Return a map from language tag to plain text that is absent when it would be empty."""
        return self.some_by_language(key, longest=longest) if self.has(key) else {}

    def languages(self) -> tuple[str, ...]:
        """Return `inLanguage`, which is absent when it would be empty."""
        values = self.maybe_strings("inLanguage", most=texts.LANGUAGES_MAX)
        if not all(map(texts.is_language, values)):
            raise self.fault("inLanguage")
        return values
