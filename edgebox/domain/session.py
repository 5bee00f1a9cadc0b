"""Who is signed in, and what each kind of person may open."""

from dataclasses import dataclass
from enum import Enum


class Role(Enum):
    """What a person is in the school."""

    LEARNER = "learner"
    TEACHER = "teacher"


class Access(Enum):
    """Who may use a route.

    CLIENT is for routes that judge by themselves, because those who use them need no session.
    """

    CLIENT = "client"
    PUBLIC = "public"
    LEARNER = "learner"
    TEACHER = "teacher"
    PERSON = "person"


@dataclass(frozen=True)
class Session:
    """A signed-in browser.

    Attributes:
        token_hash: names the session in the database; the token itself is only in the cookie.
        csrf: what every form of this session repeats.
        device_key: the long-lived cookie of the browser.
    """

    token_hash: bytes
    person_no: int
    role: Role
    pseudonym: bytes
    given_name: str
    avatar: str
    language: str | None
    device_key: str
    csrf: str


def may_use(access: Access, session: Session | None) -> bool:
    """Tell whether the holder of `session` may use a route."""
    if access is Access.PUBLIC:
        return True
    if session is None:
        return False
    return access is Access.PERSON or access.value == session.role.value
