"""The two versions of xAPI that are spoken; a request chooses by its header."""

import re
from enum import Enum

_REMEMBERED_MAX = 1000
_KNOWN = re.compile(r"(1\.0|2\.0)(\.\d{1,9})?", re.ASCII)


class Version(Enum):
    """A version, by the name that answers carry.

    Attributes:
        unnamed: what a stored statement says that came without a version (1.0.3 part 2, 2.4.10; 2.0, 4.2.4.3).
    """

    ONE = "1.0.3", "1.0.0"
    TWO = "2.0.0", "2.0.0"

    def __init__(self, title: str, unnamed: str) -> None:
        self.title = title
        self.unnamed = unnamed


class LastSpoken:
    """The version each client spoke last, as far as is remembered."""

    def __init__(self) -> None:
        self._by_login: dict[str, Version] = {}

    def note(self, login: str, version: Version) -> None:
        """Remember a version; anybody may say anything here, so not without end."""
        if len(self._by_login) >= _REMEMBERED_MAX:
            self._by_login.clear()
        self._by_login[login] = version

    def get(self, login: str) -> Version:
        """Return the version that is likely."""
        return self._by_login.get(login, Version.ONE)


def parse_version(text: str) -> Version | None:
    """Return the version of `1.0`, `1.0.x`, `2.0` or `2.0.x`, None for any other text."""
    found = _KNOWN.fullmatch(text)
    if found is None:
        return None
    return Version.ONE if found[1] == "1.0" else Version.TWO
