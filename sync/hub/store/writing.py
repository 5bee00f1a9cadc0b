"""What the operator of the hub writes for a school: every row is due to each of its boxes from then on."""

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from sync.hub.store import clock, merged
from sync.hub.store.outgoing import log_rows
from sync.hub.store.projecting import project
from sync.records.kinds import Kind, kind_of
from sync.records.merging import is_member
from sync.records.rows import Fact, Member, Merged, Message, Offer, Revocation


@dataclass(frozen=True)
class SchoolWriter:
    """Writes rows of one school in the caller's transaction."""

    connection: Connection
    school_no: int
    now_ms: int

    def write_fact(self, entity: int, row_id: bytes, field: int, value: str) -> None:
        """Say what a field of a row is from now on."""
        held = merged.find(self.connection, self.school_no, Kind.FACT, int(entity), row_id, int(field))
        if held is not None and held.value == value and held.origin == self._origin:
            return
        self._put(Fact(int(entity), row_id, int(field), value, self._stamp(held), self._origin))

    def add_member(self, set_no: int, owner: bytes, member: bytes) -> None:
        """Put a member into a set."""
        if not is_member(self._puttings(set_no, owner, member)):
            self._put(Member(set_no, owner, member, self._stamp(), self._origin))

    def remove_member(self, set_no: int, owner: bytes, member: bytes) -> None:
        """Take a member out of a set: every putting that is known here is removed, and no other."""
        for putting in self._puttings(set_no, owner, member):
            self._put(replace(putting, is_removed=True))

    def write(self, record: Message | Offer | Revocation) -> None:
        """Say something that only the hub says; its stamp is set here."""
        self._put(replace(record, stamp=self._stamp()))

    @property
    def _origin(self) -> bytes:
        return merged.find_origin(self.connection) or bytes(16)

    def _stamp(self, held: Fact | None = None) -> int:
        return clock.make_stamp(self.connection, self.school_no, self.now_ms, above=0 if held is None else held.stamp)

    def _puttings(self, set_no: int, owner: bytes, member: bytes) -> list[Member]:
        return merged.list_where(
            self.connection, self.school_no, Kind.MEMBER, set_no=set_no, owner=owner, member=member
        )

    def _put(self, record: Merged) -> None:
        no = merged.merge(self.connection, self.school_no, record, merged.find_origin(self.connection))
        if no is not None:
            log_rows(self.connection, self.school_no, None, kind_of(record), [no])
            project(self.connection, self.school_no, [record])
