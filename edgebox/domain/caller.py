"""Who speaks xAPI to the box, and what each may do."""

from dataclasses import dataclass
from enum import Enum

from edgebox.domain.cmi5.session import Launch


class Reach(Enum):
    """Which statements a credential reads."""

    NONE = "none"
    OWN = "own"
    CLASS = "class"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Client:
    """A credential that staff made for an outside client.

    Attributes:
        class_no: whose learners' statements it reads, for `Reach.CLASS`.
        may_launch: it may bring cmi5 courses, and launch their units in the name of anybody.
    """

    no: int
    login: str
    title: str
    may_write: bool
    reach: Reach
    class_no: int | None
    created_ms: int
    revoked_ms: int | None
    may_launch: bool = False


@dataclass(frozen=True, slots=True)
class Caller:
    """Who speaks xAPI to the box: a person, or an outside client.

    Attributes:
        person_no: None for a client.
        pseudonym: of the person.
        client: None for a person.
        may_record: learners may, for themselves, and clients with the right to write, for anybody.
        may_read: False for the holder of a submit token, and for a client that only writes.
        is_staff: reads the statements of all people of the school.
        launch: of the unit that speaks, which may do what that launch is for and nothing else.
    """

    person_no: int | None
    pseudonym: bytes | None
    client: Client | None
    may_record: bool
    may_read: bool
    is_staff: bool = False
    launch: Launch | None = None


def caller_of(client: Client) -> Caller:
    """Return what the holder of a credential may do."""
    return Caller(None, None, client, client.may_write, client.reach is not Reach.NONE)
