"""The language of a page: which one to use, and its words."""

import gettext
from collections.abc import Mapping
from importlib.resources import files
from io import BytesIO
from types import MappingProxyType
from typing import Any

from aiohttp import web

from content_packs.base.errors import EdgeboxError
from edgebox.domain.language import choose
from edgebox.keys import SESSION

LANGUAGES: Mapping[str, str] = MappingProxyType(
    {"en": "English", "fr": "Français", "ar": "العربية", "zh-Hans": "简体中文"}
)
LANGUAGE_COOKIE = "edgebox_language"
_ACCEPTED_MAX = 10


def _read(language: str) -> gettext.NullTranslations:
    folder = files("edgebox") / "web" / "locales" / language.replace("-", "_") / "LC_MESSAGES"
    compiled = folder / "edgebox.mo"
    if not compiled.is_file():
        return gettext.NullTranslations()
    return gettext.GNUTranslations(BytesIO(compiled.read_bytes()))


_TRANSLATIONS = MappingProxyType({language: _read(language) for language in LANGUAGES})


def language_of(request: web.Request) -> str:
    """Return the interface language: chosen on this tablet, chosen by the person, or wished by the browser."""
    session = request.get(SESSION)
    wanted = [
        request.cookies.get(LANGUAGE_COOKIE, ""),
        (session.language or "") if session else "",
        *_accepted(request.headers.get("Accept-Language", "")),
    ]
    return choose(LANGUAGES, [wish for wish in wanted if wish]).language


def words(language: str) -> gettext.NullTranslations:
    """Return the translations of an interface language."""
    return _TRANSLATIONS[language]


def describe(error: EdgeboxError, language: str) -> tuple[str, str]:
    """Return what happened and what to do, in words for people."""
    translate = words(language).gettext
    fields = dict(error.fields)
    if reason := fields.get("reason"):
        # Often a message id itself; technical words come back unchanged.
        fields["reason"] = translate(str(reason))
    return _fill(translate(error.sentence), fields), _fill(translate(error.remedy), fields)


def _fill(template: str, fields: Mapping[str, Any]) -> str:
    """Put the fields in by plain replacement: a field is somebody's text and must not be read as a format."""
    for name, value in fields.items():
        template = template.replace("{" + name + "}", str(value))
    return template


def _accepted(header: str) -> list[str]:
    """Return the languages of an Accept-Language header, most wanted first."""
    weighed: list[tuple[float, str]] = []
    for part in header.split(",")[:_ACCEPTED_MAX]:
        tag, _, weight = part.partition(";q=")
        try:
            weighed.append((float(weight or 1), tag.strip()))
        except ValueError:
            continue
    return [tag for _, tag in sorted(weighed, key=lambda pair: -pair[0]) if tag and tag != "*"]
