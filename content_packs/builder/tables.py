"""Typed reading of the tables an author writes in TOML; every error names the file, the place and what is wrong."""

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from content_packs.base.errors import N_
from content_packs.format import texts
from content_packs.format.errors import SourceInvalid
from content_packs.format.fields import is_id, is_pack_id
from content_packs.format.manifest import LIST_MAX

_MISSING = object()


class Table:
    """One table of a TOML file. Ask for every key it may have, then call `finish`."""

    def __init__(self, file: str, where: str, values: Mapping[str, Any]) -> None:
        self.file = file
        self.where = where
        self._values = values
        self._asked: set[str] = set()

    def refuse(self, key: str, reason: str) -> SourceInvalid:
        """Return the error that says what is wrong with `key`."""
        return SourceInvalid(file=self.file, where=f"{self.where} {key}".strip(), reason=reason)

    def has(self, key: str) -> bool:
        """Return whether the author wrote this key."""
        return key in self._values

    def value(self, key: str, kind: type | tuple[type, ...], reason: str, default: Any = _MISSING) -> Any:
        """Return a value of this kind, or the default when the author left it out."""
        self._asked.add(key)
        found = self._values.get(key, default)
        if found is _MISSING:
            raise self.refuse(key, N_("this is missing"))
        if key in self._values and (not isinstance(found, kind) or (isinstance(found, bool) and kind is not bool)):
            raise self.refuse(key, reason)
        return found

    def word(self, key: str, *, default: str | None = None, longest: int = texts.SHORT_MAX) -> str:
        """Return one plain text; required when there is no default."""
        fallback = _MISSING if default is None else default
        found = texts.make_plain(self.value(key, str, N_("this has to be a text in quotation marks"), fallback))
        if len(found) > longest:
            raise self.refuse(key, N_("this text is too long"))
        if not found and default is None:
            raise self.refuse(key, N_("this text is empty"))
        return found

    def words(self, key: str, *, most: int = LIST_MAX) -> tuple[str, ...]:
        """Return a list of plain texts, empty when left out."""
        found = self.value(key, list, N_("this has to be a list of texts"), [])
        if len(found) > most:
            raise self.refuse(key, N_("this list is too long"))
        if not all(isinstance(word, str) and word.strip() and len(word) <= texts.SHORT_MAX for word in found):
            raise self.refuse(key, N_("this has to be a list of texts"))
        return tuple(texts.make_plain(word) for word in found)

    def identifier(self, key: str = "id") -> str:
        """Return a required id."""
        found = self.word(key)
        if not is_id(found):
            raise self.refuse(key, N_("an id has only the letters a to z, digits and hyphens"))
        return found

    def pack_id(self, key: str) -> str:
        """Return a required id of a pack."""
        found = self.word(key)
        if not is_pack_id(found):
            raise self.refuse(
                key, N_("an id has 3 to 80 letters a to z and digits, with single dots or hyphens between")
            )
        return found

    def choice(self, key: str, allowed: Sequence[str]) -> str:
        """Return a required text out of `allowed`."""
        found = self.word(key)
        if found not in allowed:
            raise self.refuse(key, N_("this word is not one of those that are possible here"))
        return found

    def duration(self, key: str) -> str:
        """Return an ISO 8601 duration, empty when left out."""
        found = self.word(key, default="")
        if found and not texts.is_duration(found):
            raise self.refuse(key, N_('a duration is written like "PT45M" or "PT1H30M"'))
        return found

    def by_language(
        self, key: str, languages: Sequence[str], *, neutral: str, longest: int, required: bool = False
    ) -> dict[str, str]:
        """Return texts by language; a single text counts for the language `neutral`."""
        found = self.value(
            key, (str, dict), N_("this has to be a text, or texts by language"), _MISSING if required else {}
        )
        by_language = {neutral: found} if isinstance(found, str) else found
        return {
            language: self._text(f"{key}.{language}", text, longest)
            for language, text in self._known(key, by_language, languages)
        }

    def title(self, languages: Sequence[str], *, required: bool = True) -> dict[str, str]:
        """Return the title by language; a single text is in the first language of the course."""
        found = self.by_language("title", languages, neutral=languages[0], longest=texts.TITLE_MAX, required=required)
        if required and not found:
            raise self.refuse("title", N_("this is missing"))
        return found

    def description(self, languages: Sequence[str]) -> dict[str, str]:
        """Return the description by language, empty when left out."""
        return self.by_language("description", languages, neutral=languages[0], longest=texts.LONG_MAX)

    def table(self, key: str) -> "Table | None":
        """Return the one table `[key]`, or nothing when the author left it out."""
        found = self.value(key, dict, N_("this has to be written in square brackets"), None)
        return None if found is None else Table(self.file, f"{self.where} {key}".strip(), found)

    def tables(self, key: str, *, most: int) -> list["Table"]:
        """Return the tables `[[key]]` in order, each with its id (or number) as the place in errors."""
        found = self.value(key, list, N_("this has to be written in double square brackets"), [])
        if len(found) > most:
            raise self.refuse(key, N_("this list is too long"))
        if not all(isinstance(one, dict) for one in found):
            raise self.refuse(key, N_("this has to be written in double square brackets"))
        return [
            Table(self.file, f"{self.where} {key} {one.get('id', number)}".strip(), one)
            for number, one in enumerate(found, start=1)
        ]

    def finish(self) -> None:
        """Refuse keys nobody asked for: they are slips of the pen more often than not."""
        for key in sorted(self._values.keys() - self._asked):
            raise self.refuse(key, N_("this name is not known here"))

    def _known(self, key: str, found: Mapping[str, Any], languages: Sequence[str]) -> list[tuple[str, Any]]:
        for language in found:
            if language not in languages and language != texts.NEUTRAL:
                raise self.refuse(f"{key}.{language}", N_("this language is not in the list inLanguage"))
        return sorted(found.items())

    def _text(self, key: str, text: Any, longest: int) -> str:
        plain = texts.make_plain(text) if isinstance(text, str) else ""
        if not plain:
            raise self.refuse(key, N_("this has to be a text in quotation marks"))
        if len(plain) > longest:
            raise self.refuse(key, N_("this text is too long"))
        return plain


def read_table(file: str, text: str) -> Table:
    """Return the top table of a TOML file.

    Raises:
        SourceInvalid: it is not TOML.
    """
    try:
        return Table(file, "", tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        where = str(error).rpartition("(")[2].rstrip(")")
        raise SourceInvalid(file=file, where=where, reason=N_("this cannot be read as TOML")) from error
