"""One frozen dataclass per record kind.

Statements name learners, verbs, activities and devices by the small numbers (`no`) of the box's own tables. Those rows
travel in the same log before their first use, so a receiver keeps one registry per (origin, epoch). No record has a
field for a person's name, and a fact that is a name goes from the hub to a box only: that is how names stay in school.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Statement:
    """One xAPI statement.

    Attributes:
        id: 16 bytes; None when it is derived from the device's id, `device_seq` and `timestamp_ms`.
        attempt_seq: device_seq of the event that opened the attempt; the registration is derived from it.
        registration: the registration given by an outside client.
        stored_lag_seconds: whole seconds from `timestamp_ms` to the moment the box stored it.
        body: JSON of an outside client's statement, without what names people (`sync.records.outside`).
    """

    verb_no: int
    activity_no: int
    timestamp_ms: int
    learner_no: int | None = None
    device_no: int | None = None
    device_seq: int | None = None
    attempt_seq: int | None = None
    id: bytes | None = None
    registration: bytes | None = None
    stored_lag_seconds: int = 0
    success: bool | None = None
    completion: bool | None = None
    score_raw: float | None = None
    score_max: float | None = None
    score_scaled: float | None = None
    duration_ms: int | None = None
    progress: float | None = None
    response: str | None = None
    body: bytes | None = None

    @property
    def stored_ms(self) -> int:
        """Return when the box stored it, to the second."""
        return self.timestamp_ms + self.stored_lag_seconds * 1000


@dataclass(frozen=True, slots=True)
class Learner:
    """The number and the random pseudonym of a person."""

    no: int
    pseudonym: bytes


@dataclass(frozen=True, slots=True)
class Class:
    """A class: its random pseudonym and the short code staff read aloud; the title stays in the school."""

    no: int
    pseudonym: bytes
    code: str
    is_active: bool = True


@dataclass(frozen=True, slots=True)
class Enrollment:
    """Whether a learner belongs to a class."""

    class_no: int
    learner_no: int
    is_active: bool = True


@dataclass(frozen=True, slots=True)
class Activity:
    """An activity's number and IRI."""

    no: int
    iri: str


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb's number and IRI."""

    no: int
    iri: str


@dataclass(frozen=True, slots=True)
class Device:
    """A tablet's number and the random id it made for itself."""

    no: int
    id: bytes


@dataclass(frozen=True, slots=True)
class PackInstall:
    """A pack version that was put on the box or taken off it."""

    pack: str
    version: int
    root: bytes
    at_ms: int
    is_installed: bool = True


@dataclass(frozen=True, slots=True)
class Assignment:
    """A lesson given to a class, or taken back."""

    class_no: int
    pack: str
    lesson: str
    at_ms: int
    is_active: bool = True


@dataclass(frozen=True, slots=True)
class Boot:
    """A stretch of the box's clock, and by how much it is known to have been wrong.

    Attributes:
        offset_ms: what is to be added to every time that was told in it.
        quality: how far the times are to be trusted then, see `sync.bundle.layout.ClockQuality`.
        start_ms: what the clock told when it began; None in a record that only brings what was learned since.
    """

    no: int
    offset_ms: int
    quality: int
    start_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Fact:
    """One field of one mutable row, see `sync.records.facts`.

    Attributes:
        id: the random or derived 16 bytes that name the row at every box and at the hub.
        value: the field's value as text.
        origin: whose write it is; None for the maker of the bundle.
    """

    entity: int
    id: bytes
    field: int
    value: str
    stamp: int
    origin: bytes | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """One putting of a member into a set; `stamp` and `origin` are its tag. It is removed for ever, or not at all."""

    set_no: int
    owner: bytes
    member: bytes
    stamp: int
    origin: bytes | None = None
    is_removed: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """A teacher's mark for a learner's assignment; `stamp` and `origin` are its tag.

    Attributes:
        replaces: the tags of the marks that the teacher saw and replaced, see `sync.records.merging.write_tags`.
    """

    assignment: bytes
    learner: bytes
    value: str
    comment: str
    stamp: int
    origin: bytes | None = None
    replaces: bytes = b""


@dataclass(frozen=True, slots=True)
class State:
    """A state document of a learning app, or that it was removed; `registration` is empty when none was given."""

    learner: bytes
    activity: str
    state_id: str
    content_type: str
    content: bytes
    stamp: int
    registration: bytes = b""
    origin: bytes | None = None
    is_removed: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """What the hub says to the staff of a school, until a moment."""

    id: bytes
    text: str
    until_ms: int
    stamp: int


@dataclass(frozen=True, slots=True)
class Offer:
    """A pack version that the hub has.

    Attributes:
        titles: JSON, by language.
        from_version: the older version that a patch of `patch_bytes` leads on from; None when there is no patch.
    """

    pack: str
    version: int
    root: bytes
    titles: str
    size_bytes: int
    stamp: int
    from_version: int | None = None
    patch_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Revocation:
    """What the hub takes back for ever: a pack version `pack@version`, or the key id of a courier or a box in hex."""

    subject_kind: int
    subject: str
    stamp: int


@dataclass(frozen=True, slots=True)
class Health:
    """How a box is, in numbers."""

    version: str
    uptime_seconds: int
    free_bytes: int
    total_bytes: int
    classes: int
    learners: int
    packs: int
    statements: int
    stamp: int
    origin: bytes | None = None


@dataclass(frozen=True, slots=True)
class HandIn:
    """What a learner handed in: a file, whose bytes travel apart, or a text; `stamp` tells when. It has no name."""

    id: bytes
    assignment: bytes
    learner: bytes
    media_type: str
    size_bytes: int
    hash: bytes
    stamp: int
    origin: bytes | None = None


Merged = Fact | Member | Mark | State | Message | Offer | Revocation | Health | HandIn
Record = Boot | Statement | Learner | Class | Enrollment | Activity | Verb | Device | PackInstall | Assignment | Merged
