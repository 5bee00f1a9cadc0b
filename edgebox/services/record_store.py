"""The record store for outside clients: statements in and out, by xAPI 1.0.3 and 2.0.

An answer is given only after the commit. All statements of a request are stored, or none.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from content_packs.base import ids
from content_packs.base.clock import Clock
from content_packs.base.errors import N_, EdgeboxError
from edgebox.domain.caller import Caller
from edgebox.domain.caller import Reach as Rights
from edgebox.domain.cmi5.session import Launch
from edgebox.domain.statement_in import Sender, from_statement, is_voiding, stored_at
from edgebox.domain.statement_out import authority_of, is_account, write_out
from edgebox.domain.statements import NewStatement, StoredStatement
from edgebox.domain.xapi.agents import identifier_of
from edgebox.domain.xapi.places import activities_of, attachments_of, hashes_of
from edgebox.domain.xapi.rules import check_statement
from edgebox.domain.xapi.signature import SIGNATURE_MAX_BYTES, check_signature, is_signature, must_come
from edgebox.domain.xapi.values import StatementMalformed
from edgebox.domain.xapi.version import LastSpoken, Version
from edgebox.services import large
from edgebox.services.attachments import Attachments, Part
from edgebox.services.forms import Forms
from edgebox.services.recording import ActorRefused, Recording
from edgebox.services.unit_statements import UnitStatements
from edgebox.store import agents, referring, roster, statement_queries, statements
from edgebox.store.attachments import Attachment, insert_attachments
from edgebox.store.database import Database
from edgebox.store.definitions import Definitions, find_definitions
from edgebox.store.registry import Numbers
from edgebox.store.statement_filters import Filter, Reach

STATEMENTS_MAX = 200
LINES_MAX = 100  # written in one go
_LEAST_BYTES = 8 * 1024  # how large one statement counts at least: checking takes time for each as well
STATEMENT_MAX_BYTES = 256 * 1024  # it has to fit into a bundle
MENTIONS_MAX = 200  # each becomes a row or two, again in every statement about this one


class StatementConflict(EdgeboxError):
    """The id belongs to a statement with another content. The new one is kept aside."""

    code = "record.statement_conflict"
    status = 409
    exit_code = 84
    sentence = N_("A different statement already has the id {id}.")
    remedy = N_("Give every statement an id of its own.")


class ReadingRefused(EdgeboxError):
    """A submit token, or a credential that only writes, was used to read."""

    code = "record.reading_refused"
    status = 403
    exit_code = 89
    sentence = N_("This sign-in may only hand work in.")
    remedy = N_("Sign in to read what was recorded.")


class WritingRefused(EdgeboxError):
    """A credential that only reads was used to write."""

    code = "record.writing_refused"
    status = 403
    exit_code = 7
    sentence = N_("This sign-in may only read what was recorded.")
    remedy = N_("Ask a teacher for one that may write.")


@dataclass(frozen=True, slots=True)
class Found:
    """Statements as JSON.

    Attributes:
        size_bytes: about how large they are.
        next_seq: where the next page starts; None at the end.
    """

    statements: list[dict[str, Any]]
    size_bytes: int
    next_seq: int | None = None


class RecordStore:
    """Statements of outside clients."""

    def __init__(
        self, database: Database, clock: Clock, recording: Recording, home_page: str, files: Attachments
    ) -> None:
        self._database = database
        self._clock = clock
        self._recording = recording
        self._home_page = home_page
        self.files = files
        self._units = UnitStatements(home_page)
        self.forms = Forms()
        self.last_spoken = LastSpoken()

    def through_ms(self) -> int:
        """Return up to when what was stored can be read now; whatever is stored later is after it."""
        return self._recording.times.through_ms()

    def is_caller(self, agent: Any, caller: Caller) -> bool:
        """Tell whether a valid agent is the person who calls."""
        if caller.launch is not None:
            return identifier_of(agent) == caller.launch.agent
        return caller.pseudonym is not None and is_account(agent, self._home_page, caller.pseudonym)

    async def person_of(self, agent: dict[str, Any]) -> int | None:
        """Return the number of the person of this box that a valid agent stands for."""
        pseudonym = self._pseudonym_of(agent)
        if pseudonym is None:
            return None
        return await self._database.read(lambda connection: statements.find_person_no(connection, pseudonym))

    async def _people_of(self, actors: Sequence[dict[str, Any]]) -> list[int | None]:
        pseudonyms = [self._pseudonym_of(actor) for actor in actors]
        known = {one for one in pseudonyms if one is not None}
        if not known:
            return [None] * len(actors)
        found = await self._database.read(
            lambda connection: {one: statements.find_person_no(connection, one) for one in known}
        )
        return [None if one is None else found[one] for one in pseudonyms]

    def _pseudonym_of(self, agent: dict[str, Any]) -> bytes | None:
        account = agent.get("account", {})
        if account.get("homePage") != self._home_page:
            return None
        try:
            return ids.parse_uuid(account["name"])
        except ValueError:
            return None

    async def store(
        self,
        caller: Caller,
        version: Version,
        received: Sequence[Any],
        parts: Sequence[Part] = (),
        *,
        size_bytes: int = 0,
    ) -> list[str]:
        """Store all statements or none, and return their ids. `size_bytes` is how large the statements are together.

        Raises:
            StatementMalformed, ActorRefused, WritingRefused, StatementConflict
            StoreUnavailable: nothing was kept.
        """
        if len(received) > STATEMENTS_MAX:
            raise StatementMalformed(where="body", reason=f"more than {STATEMENTS_MAX} statements")
        now_ms = self._clock.now_ms()
        # A signature is a file to be read, whose size says nothing about how long that takes.
        size_bytes = large.LARGE_BYTES + 1 if parts else size_bytes + len(received) * _LEAST_BYTES
        await large.work(size_bytes, self._check, caller, version, received, parts)
        client_no = None if caller.client is None else caller.client.no
        authority = identifier_of(authority_of(self._home_page, client_no)) or ""
        sender = Sender(self._home_page, authority, client_no, version, is_unit=caller.launch is not None)
        people = await self._people_of([one["actor"] for one in received])
        new = await large.work(size_bytes, _converted, received, people, now_ms, sender)
        if parts:
            await self.files.keep(parts)
        named = zip(new, map(hashes_of, received), strict=True)
        kept = [
            Attachment(statement.id, part.sha2, part.content_type)
            for statement, hashes in named
            for part in parts
            if part.sha2 in hashes
        ]
        taken = await self._insert(new, kept, now_ms, caller.launch, received)
        if parts:
            await self.files.settle(parts, is_stored=not taken)
        if taken:
            raise StatementConflict(id=ids.format_uuid(taken[0]))
        return [ids.format_uuid(statement.id) for statement in new]

    async def _insert(
        self,
        new: list[NewStatement],
        kept: list[Attachment],
        now_ms: int,
        launch: Launch | None,
        received: Sequence[Any],
    ) -> list[bytes]:
        registry = self._recording.registry

        def job(connection: Any, at_ms: int) -> tuple[list[bytes], list[Numbers]]:
            timed = [stored_at(statement, at_ms) for statement in new]
            admitted = None if launch is None else self._units.admit(connection, launch, received, timed, at_ms)
            taken, numbers = statements.insert_statements(connection, registry, timed, at_ms)
            if taken:
                return taken, [numbers]
            insert_attachments(connection, kept)
            if launch is None or admitted is None:
                return [], [numbers]
            more = self._units.follow(connection, registry, launch, admitted, at_ms)
            return [], [numbers] if more is None else [numbers, more]

        taken, found = await self._recording.times.write(now_ms, job)
        for numbers in found:
            self._recording.note_stored(numbers)
        return taken

    def _check(self, caller: Caller, version: Version, received: Sequence[Any], parts: Sequence[Part]) -> None:
        for statement in received:
            check_statement(statement, version)
            self._check_right(caller, statement)
        _check_files(received, parts)

    def check_may_record(self, caller: Caller) -> None:
        """Return if the caller may store statements at all, before anything of them is read.

        Raises:
            WritingRefused, ActorRefused
        """
        if not caller.may_record:
            raise ActorRefused if caller.client is None else WritingRefused

    def _check_right(self, caller: Caller, statement: dict[str, Any]) -> None:
        self.check_may_record(caller)
        if caller.client is not None or caller.launch is not None:
            return  # a unit is judged with all rules of cmi5 when its statements are stored
        if not self.is_caller(statement["actor"], caller):
            raise ActorRefused
        if is_voiding(statement):
            raise StatementMalformed(where="statement.verb", reason="nothing that was recorded is taken back")

    async def find(self, caller: Caller, statement_id: bytes, *, is_void: bool) -> Found | None:
        """Return one statement that the caller may read, void or not as is asked.

        Raises:
            ReadingRefused
        """
        reach = await self._reach(caller)
        found = await self._database.read(
            lambda connection: statement_queries.find_statement(connection, statement_id, reach)
        )
        if found is None or found.is_void is not is_void:
            return None
        return await self._write_out([found])

    async def list_page(self, caller: Caller, wanted: Filter, start_seq: int | None, limit: int) -> Found:
        """Return a page of the statements that the caller may read, and where the next one starts.

        Raises:
            ReadingRefused
        """
        reach = await self._reach(caller)
        if caller.launch is not None:
            wanted = _narrowed(wanted, caller.launch)
        page = await self._database.read(
            lambda connection: referring.list_readable(connection, wanted, reach, start_seq, limit, self._home_page)
        )
        return replace(await self._write_out(page.statements), next_seq=page.next_seq)

    async def write_lines(self, people: frozenset[int], start_seq: int) -> tuple[bytes, int | None]:
        """Return statements of people of this box, a line of JSON each, and where to go on; None at the end.

        The oldest come first. All is done in a reader's thread, for whoever wants every statement there is.
        """
        wanted, reach = Filter(is_ascending=True), Reach(people=people)

        def write(connection: Any) -> tuple[bytes, int | None]:
            page = statement_queries.list_statements(connection, wanted, reach, start_seq, LINES_MAX)
            lines = [_line(write_out(statement, self._home_page)) for statement in page.statements]
            return b"".join(lines), page.next_seq

        return await self._database.read(write)

    async def _write_out(self, statements: Sequence[StoredStatement]) -> Found:
        def all_of_them() -> list[dict[str, Any]]:
            return [write_out(statement, self._home_page) for statement in statements]

        size_bytes = sum(len(statement.body or b"") for statement in statements)
        return Found(await large.work(size_bytes, all_of_them), size_bytes)

    async def _reach(self, caller: Caller) -> Reach:
        if not caller.may_read:
            raise ReadingRefused
        if caller.launch is not None:
            return Reach(launch=caller.launch)
        if caller.client is None:
            return Reach(is_school=True) if caller.is_staff else Reach(people=frozenset({caller.person_no or 0}))
        if caller.client.reach is Rights.OWN:
            return Reach(client_no=caller.client.no)
        if caller.client.reach is Rights.ALL:
            return Reach()
        class_no = caller.client.class_no
        if class_no is None:
            return Reach(people=frozenset())
        learners = await self._database.read(lambda connection: roster.list_learners(connection, class_no))
        return Reach(people=frozenset(row["no"] for row in learners))

    async def find_definitions(self, mentioned: Sequence[Sequence[str]]) -> Definitions:
        """Return the definitions the box has of the activities of each statement, as many as fit into a page."""
        return await self._database.read(lambda connection: find_definitions(connection, mentioned))

    async def find_name(self, agent: dict[str, Any]) -> str | None:
        """Return the name that was last given to an agent."""
        identifier = identifier_of(agent) or ""
        found = await self._database.read(lambda connection: agents.find_agent(connection, identifier))
        return None if found is None else found[1]


def _narrowed(wanted: Filter, launch: Launch) -> Filter:
    """Return what a unit asks for, within its learner's turn with the course. Raises ReadingRefused beyond that."""
    is_other = wanted.agent not in (None, launch.agent) or wanted.registration not in (None, launch.registration)
    if is_other:
        raise ReadingRefused
    return replace(wanted, agent=launch.agent, person_no=launch.person_no, registration=launch.registration)


def _line(statement: dict[str, Any]) -> bytes:
    return json.dumps(statement, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _converted(
    received: Sequence[dict[str, Any]], people: Sequence[int | None], now_ms: int, sender: Sender
) -> list[NewStatement]:
    new = [from_statement(one, no, now_ms, sender) for one, no in zip(received, people, strict=True)]
    if len({statement.id for statement in new}) != len(new):
        raise StatementMalformed(where="statement.id", reason="the same id twice")
    for statement in new:
        _check_size(statement)
    return new


def _check_size(statement: NewStatement) -> None:
    """Return if a statement is not too large, nor too costly to be found again. Raises StatementMalformed."""
    if len(statement.body or b"") > STATEMENT_MAX_BYTES:
        raise StatementMalformed(where="statement", reason=f"more than {STATEMENT_MAX_BYTES} bytes")
    mentions = None if statement.outside is None else statement.outside.mentions
    if mentions is not None and len(mentions.agents) + len(activities_of(dict(statement.received))) > MENTIONS_MAX:
        raise StatementMalformed(where="statement", reason=f"more than {MENTIONS_MAX} agents and activities")


def _check_files(received: Iterable[dict[str, Any]], parts: Sequence[Part]) -> None:
    """Return if every file that is named came, every file that came is named, and all signatures hold. Blocks.

    Raises:
        StatementMalformed
    """
    by_hash = {part.sha2: part for part in parts}
    named = set()
    for statement in received:
        attachments = attachments_of(statement)
        if sum(map(is_signature, attachments)) > 1:
            raise StatementMalformed(where="attachments", reason="more than one signature")
        for attachment in attachments:
            sha2 = attachment["sha2"].lower()
            named.add(sha2)
            part = by_hash.get(sha2)
            if part is None and must_come(attachment):
                raise StatementMalformed(where="attachments", reason="a file that did not come")
            if part is not None and is_signature(attachment):
                check_signature(statement, attachment, _read_signature(part))
    if not by_hash.keys() <= named:
        raise StatementMalformed(where="attachments", reason="a file that no statement names")
    if not all(part.is_whole for part in parts):
        raise StatementMalformed(where="attachments", reason="a file that is not the one of its hash")


def _read_signature(part: Part) -> bytes:
    if part.size_bytes > SIGNATURE_MAX_BYTES:
        raise StatementMalformed(where="attachments", reason="signature too large")
    return part.path.read_bytes()
