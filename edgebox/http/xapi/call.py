"""One request to the record store, whichever way it was written: version, caller, parameters, content."""

from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from content_packs.base import ids
from content_packs.base.errors import N_, EdgeboxError
from edgebox.domain.caller import Caller
from edgebox.domain.session import Role
from edgebox.domain.xapi.rules import check_actor
from edgebox.domain.xapi.values import StatementMalformed, check_content_type, check_uuid, parse_json
from edgebox.domain.xapi.version import Version, parse_version
from edgebox.http import problems
from edgebox.http.body import read_body
from edgebox.http.guard import SAFE_METHODS, check_origin, find_session
from edgebox.keys import BOX
from edgebox.services import large
from edgebox.services.launch_tokens import LOGIN_PREFIX
from edgebox.services.submit_token import TokenInvalid
from sync.records.moments import parse_timestamp

VERSION_HEADER = "X-Experience-API-Version"
REQUEST_MAX_BYTES = 4 * 1024 * 1024
JSON_TYPE = "application/json"
ANSWERED_IN = web.RequestKey("ANSWERED_IN", Version)
COMPLETE_THROUGH_MS = web.RequestKey("COMPLETE_THROUGH_MS", int)
_FORM_TYPE = "application/x-www-form-urlencoded"
_METHOD = "method"
_CONTENT = "content"
_FIELDS_MAX = 100
_FIELD_MAX_CHARACTERS = 8190  # as much as a line of a request may have, where parameters usually stand
# What may stand in the form instead of in a header (1.0.3 part 3, 1.3).
_HEADERS = frozenset(
    {"authorization", "x-experience-api-version", "content-type", "content-length", "if-match", "if-none-match"}
    | {"accept", "accept-language"}
)


class VersionUnsupported(EdgeboxError):
    """A client of another xAPI version, or one that does not say."""

    code = "record.version_unsupported"
    status = 400
    exit_code = 86
    sentence = N_("The box speaks xAPI 1.0.3 and 2.0, not {version}.")
    remedy = N_("Tell the maker of the learning app.")


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it was meant.

    Attributes:
        content: of a request in the alternate syntax; None for one whose body has not been read.
    """

    request: web.Request
    method: str
    version: Version
    caller: Caller
    query: Mapping[str, str]
    headers: Mapping[str, str]
    content: bytes | None = None

    @property
    def content_type(self) -> str:
        """Return the content type as it was given, with its parameters. Raises StatementMalformed."""
        given = self.headers.get("Content-Type", "application/octet-stream")
        check_content_type(given, "Content-Type")
        return given

    @property
    def base_type(self) -> str:
        """Return the content type without parameters, in lower case. Raises StatementMalformed."""
        return self.content_type.partition(";")[0].strip().lower()

    async def read(self, limit_bytes: int) -> bytes:
        """Return the content.

        Raises:
            BodyTooLarge, BodyTooSlow, BodyMalformed
        """
        if self.content is None:
            return await read_body(self.request, limit_bytes)
        if len(self.content) > limit_bytes:
            raise problems.BodyTooLarge(limit_bytes=limit_bytes)
        return self.content

    def allow(self, names: frozenset[str]) -> None:
        """Return if only these parameters were given.

        Raises:
            StatementMalformed
        """
        for name in self.query:
            if name not in names:
                raise StatementMalformed(where=name[:100], reason="not a parameter here")

    def required(self, name: str) -> str:
        """Return a parameter that must be given. Raises StatementMalformed, as all that follow."""
        value = self.query.get(name)
        if not value:
            raise StatementMalformed(where=name, reason="missing")
        return value

    def uuid(self, name: str) -> bytes | None:
        """Return a UUID, None when it was not given."""
        value = self.query.get(name)
        if value is None:
            return None
        check_uuid(value, name)
        return ids.parse_uuid(value)

    def moment(self, name: str) -> int | None:
        """Return a moment in milliseconds, None when it was not given."""
        value = self.query.get(name)
        try:
            return None if value is None else parse_timestamp(value.replace(" ", "+"))
        except ValueError as error:
            raise StatementMalformed(where=name, reason="not a timestamp") from error

    def agent(self) -> Any:
        """Return the agent or group in `agent`, None when it was not given."""
        value = self.query.get("agent")
        if value is None:
            return None
        agent = parse_json(value.encode(errors="replace"))
        check_actor(agent, "agent")
        return agent

    def flag(self, name: str) -> bool:
        """Return whether a parameter is `true`."""
        value = self.query.get(name, "false")
        if value not in ("true", "false"):
            raise StatementMalformed(where=name, reason="not true or false")
        return value == "true"

    def number(self, name: str) -> int | None:
        """Return a whole number, None when it was not given."""
        value = self.query.get(name)
        if value is None:
            return None
        if not (value.isascii() and value.isdigit() and len(value) <= ids.ID_BYTES):
            raise StatementMalformed(where=name, reason="not a whole number")
        return int(value)


async def open_call(request: web.Request) -> Call:
    """Return a request as it was meant, after its version and its caller were checked.

    Raises:
        VersionUnsupported, SignInNeeded, TokenInvalid, PersonUnknown, OriginRefused
        StatementMalformed: a parameter twice, or the alternate syntax where it is not spoken.
        BodyTooLarge, BodyTooSlow, BodyMalformed, FormsBusy: of a request in the alternate syntax.
    """
    query = _unique(list(request.query.items()))
    if _METHOD not in query:
        if "Authorization" not in request.headers:
            _check_own_page(request)
        version = _open_version(request, request.headers)
        return Call(request, request.method, version, await _caller(request, request.headers), query, request.headers)
    return await _open_alternate(request, query)


async def _open_alternate(request: web.Request, query: Mapping[str, str]) -> Call:
    """Return a request in the alternate syntax: everything in a form, for browsers of old (1.0.3 part 3, 1.3)."""
    if parse_version(request.headers.get(VERSION_HEADER, "")) is Version.TWO:
        raise StatementMalformed(where=_METHOD, reason="not a parameter of 2.0")
    if request.method != "POST" or request.content_type != _FORM_TYPE or len(query) > 1:
        raise StatementMalformed(where=_METHOD, reason="only as the one parameter of a form that is posted")
    # Who asks is in the form, so this much is done for anybody.
    with request.app[BOX].record_store.forms.receiving(request.content_length or REQUEST_MAX_BYTES):
        body = await read_body(request, REQUEST_MAX_BYTES)
    fields = _unique(await large.work(len(body), _parse_form, body))
    _check_lengths(fields)
    headers = CIMultiDict(request.headers)
    headers["Content-Type"] = JSON_TYPE
    headers.update({name: value for name, value in fields.items() if name.lower() in _HEADERS})
    content = fields.get(_CONTENT)
    method = query[_METHOD].upper()
    if method in ("PUT", "POST") and content is None:
        raise StatementMalformed(where=_CONTENT, reason="missing")
    version = _open_version(request, headers)
    if version is Version.TWO:
        raise StatementMalformed(where=_METHOD, reason="not a parameter of 2.0")
    meant = {name: value for name, value in fields.items() if name.lower() not in _HEADERS and name != _CONTENT}
    caller = await _caller(request, headers)
    return Call(request, method, version, caller, meant, CIMultiDictProxy(headers), (content or "").encode())


def _parse_form(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_FIELDS_MAX, errors="strict")
    except ValueError as error:
        raise problems.BodyMalformed(reason="form") from error


def _check_lengths(fields: Mapping[str, str]) -> None:
    for name, value in fields.items():
        if name != _CONTENT and len(value) > _FIELD_MAX_CHARACTERS:
            raise StatementMalformed(where=name[:100], reason="too long")


def _unique(pairs: list[tuple[str, str]]) -> dict[str, str]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise StatementMalformed(where="parameters", reason="one given twice")
    return found


def _open_version(request: web.Request, headers: Mapping[str, str]) -> Version:
    given = headers.get(VERSION_HEADER, "")
    version = parse_version(given)
    login = _login(headers)
    last_spoken = request.app[BOX].record_store.last_spoken
    if version is None:
        # In which version to say that none was named, only the past can tell.
        request[ANSWERED_IN] = last_spoken.get(login)
        raise VersionUnsupported(version=given[:20])
    request[ANSWERED_IN] = version
    last_spoken.note(login, version)
    return version


async def _caller(request: web.Request, headers: Mapping[str, str]) -> Caller:
    box = request.app[BOX]
    scheme, _, value = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return await box.recording.caller_of_token(value.strip())
    if scheme.lower() == "basic":
        login, secret = decode_basic(value)
        if login.startswith(LOGIN_PREFIX):
            return await box.launching.tokens.check(login, secret)
        return await box.clients.check(login, secret)
    if scheme:
        raise TokenInvalid
    session = find_session(request)
    if session is None:
        raise problems.SignInNeeded
    _check_own_page(request)
    is_learner = session.role is Role.LEARNER
    return Caller(session.person_no, session.pseudonym, None, is_learner, may_read=True, is_staff=not is_learner)


def _check_own_page(request: web.Request) -> None:
    """Refuse to write for a cookie that a browser sends along with what another origin's page asks."""
    if request.method not in SAFE_METHODS:
        check_origin(request)


def _login(headers: Mapping[str, str]) -> str:
    scheme, _, value = headers.get("Authorization", "").partition(" ")
    return decode_basic(value)[0][:100] if scheme.lower() == "basic" else ""


def decode_basic(value: str) -> tuple[str, str]:
    """Return login and secret of a Basic credential, both empty when it is none."""
    try:
        login, _, secret = b64decode(value.strip(), validate=True).decode().partition(":")
    except (NotBase64, ValueError):
        return "", ""
    return login, secret
