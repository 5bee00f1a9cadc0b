"""The learner's preferences as a unit may write them (cmi5 11)."""

import json
import re
from typing import Any

from content_packs.base.errors import N_, EdgeboxError

_TAGS = re.compile(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*( ?, ?[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*)*")
_AUDIO = ("on", "off")
_NAMES = ("languagePreference", "audioPreference")
_JSON_TYPE = "application/json"


class PreferencesInvalid(EdgeboxError):
    """A document cmi5LearnerPreferences that is none."""

    code = "course.preferences_invalid"
    status = 403
    exit_code = 162
    sentence = N_("These are not preferences of a learner as cmi5 has them ({reason}).")
    remedy = N_("Tell the maker of the course.")


def check_preferences(base_type: str, content: bytes) -> None:
    """Return if a document is one.

    Raises:
        PreferencesInvalid
    """
    if base_type != _JSON_TYPE:
        raise PreferencesInvalid(reason=_JSON_TYPE)
    try:
        document: Any = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise PreferencesInvalid(reason="JSON") from error
    if not isinstance(document, dict) or not all(name in document for name in _NAMES):
        raise PreferencesInvalid(reason=", ".join(_NAMES))
    languages, audio = document[_NAMES[0]], document[_NAMES[1]]
    if not isinstance(languages, str) or not _TAGS.fullmatch(languages):
        raise PreferencesInvalid(reason=_NAMES[0])
    if audio not in _AUDIO:
        raise PreferencesInvalid(reason=_NAMES[1])
