"""The words of an interface: its languages, which of them a browser wishes for, and errors in words for people.

Box and hub each have a catalogue of their own, in a folder `<language>/LC_MESSAGES`.
"""

import gettext
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from io import BytesIO
from types import MappingProxyType
from typing import Any

from content_packs.base.errors import EdgeboxError

LANGUAGES: Mapping[str, str] = MappingProxyType(
    {"en": "English", "fr": "Français", "ar": "العربية", "zh-Hans": "简体中文"}
)
_ACCEPTED_MAX = 10


def read_catalogues(folder: Traversable, domain: str) -> Mapping[str, gettext.NullTranslations]:
    """Return the translations of every language; one whose catalogue was not built has the words of the sources."""
    return MappingProxyType({language: _read(folder, language, domain) for language in LANGUAGES})


def accepted(header: str) -> list[str]:
    """Return the languages of an Accept-Language header, most wanted first (RFC 9110, 12.5.4)."""
    weighed: list[tuple[float, str]] = []
    for part in header.split(",")[:_ACCEPTED_MAX]:
        tag, _, weight = part.partition(";q=")
        try:
            weighed.append((float(weight or 1), tag.strip()))
        except ValueError:
            continue
    return [tag for _, tag in sorted(weighed, key=lambda pair: -pair[0]) if tag and tag != "*"]


def describe(error: EdgeboxError, words: gettext.NullTranslations) -> tuple[str, str]:
    """Return what happened and what to do, in words for people."""
    translate = words.gettext
    fields = dict(error.fields)
    if reason := fields.get("reason"):
        # Often a message id itself; technical words come back unchanged.
        fields["reason"] = translate(str(reason))
    return _fill(translate(error.sentence), fields), _fill(translate(error.remedy), fields)


def _read(folder: Traversable, language: str, domain: str) -> gettext.NullTranslations:
    compiled = folder / language.replace("-", "_") / "LC_MESSAGES" / f"{domain}.mo"
    if not compiled.is_file():
        return gettext.NullTranslations()
    return gettext.GNUTranslations(BytesIO(compiled.read_bytes()))


def _fill(template: str, fields: Mapping[str, Any]) -> str:
    """Put the fields in by plain replacement: a field is somebody's text and must not be read as a format."""
    for name, value in fields.items():
        template = template.replace("{" + name + "}", str(value))
    return template
