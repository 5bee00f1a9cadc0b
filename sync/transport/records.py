"""A record store of somebody else, by xAPI over HTTP: one request at a time, no redirects, bounded answers."""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from content_packs.base.errors import N_, EdgeboxError
from content_packs.fetch.http import why_down
from sync.transport.contract import Wire
from sync.transport.tls import make_context

ANSWER_MAX_BYTES = 1024 * 1024
CONNECT_SECONDS = 20.0
SILENCE_SECONDS = 60.0
TOTAL_SECONDS = 120.0
_SLOW_BYTES_A_SECOND = 4_000  # a line so slow carries a request in the time it is given
_VERSION_HEADER = "X-Experience-API-Version"
_JSON_TYPE = "application/json"
_CHUNK_BYTES = 16 * 1024


class RecordsUnreached(EdgeboxError):
    """The record store could not be reached, or the line broke, or its answer has no end."""

    code = "forward.unreached"
    status = 503
    exit_code = 183
    retryable = True
    sentence = N_("The record store cannot be reached ({reason}).")
    remedy = N_("The box tries again by itself. Nothing is lost.")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the store said.

    Attributes:
        retry_after: the header of that name, "" for none.
    """

    status_no: int
    body: bytes
    retry_after: str


@dataclass(frozen=True, slots=True)
class File:
    """A file that goes with statements (1.0.3 part 3, 1.5.2)."""

    path: Path
    sha2: str
    content_type: str
    size_bytes: int


class RecordLink:
    """One store by the address of its statements; close it when done."""

    def __init__(
        self,
        url: str,
        login: str,
        secret: str,
        version: str,
        wire: Wire,
        *,
        silence_seconds: float = SILENCE_SECONDS,
        total_seconds: float = TOTAL_SECONDS,
    ) -> None:
        """Take the store's address, the sign-in for it, and the line to it."""
        self._url = url
        self._headers = {
            _VERSION_HEADER: version,
            "Accept-Encoding": "identity",
            "Authorization": aiohttp.encode_basic_auth(login, secret, "utf-8"),
        }
        self._wire = wire
        self._silence_seconds = silence_seconds
        self._total_seconds = total_seconds
        self._session: aiohttp.ClientSession | None = None

    async def store(self, content: bytes, files: Sequence[File] = ()) -> Answer:
        """Post statements, with their files if they have any; return the answer.

        Raises:
            RecordsUnreached
            OSError: a file cannot be opened.
        """
        if not files:
            return await self._ask("POST", len(content), data=content, headers={"Content-Type": _JSON_TYPE})
        with ExitStack() as stack:
            with aiohttp.MultipartWriter("mixed") as parts:
                parts.append(content, {"Content-Type": _JSON_TYPE})
                for file in files:
                    stream = stack.enter_context(await asyncio.to_thread(file.path.open, "rb"))
                    parts.append(stream, _part_headers(file))
            return await self._ask("POST", len(content) + sum(file.size_bytes for file in files), data=parts)

    async def find(self, statement_id: str, *, is_void: bool = False) -> Answer:
        """Ask for one statement.

        Raises:
            RecordsUnreached
        """
        name = "voidedStatementId" if is_void else "statementId"
        return await self._ask("GET", 0, params={name: statement_id})

    async def close(self) -> None:
        """Close the connection; safe to repeat."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ask(self, method: str, size_bytes: int, **options: Any) -> Answer:
        total_seconds = self._total_seconds + size_bytes / _SLOW_BYTES_A_SECOND
        try:
            session = await self._open()
            async with (
                asyncio.timeout(total_seconds),
                session.request(method, self._url, allow_redirects=False, **options) as response,
            ):
                body = await _read(response)
                return Answer(response.status, body, response.headers.get("Retry-After", ""))
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise RecordsUnreached(reason=why_down(error)) from error

    async def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            tls = await asyncio.to_thread(make_context) if self._url.startswith("https:") else True
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=self._silence_seconds)
            connector = aiohttp.TCPConnector(ssl=tls, socket_factory=self._wire.make_socket)
            jar = aiohttp.DummyCookieJar()
            self._session = aiohttp.ClientSession(
                timeout=timeout, cookie_jar=jar, connector=connector, headers=self._headers, auto_decompress=False
            )
        return self._session


async def _read(response: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    total_bytes = 0
    async for part in response.content.iter_chunked(_CHUNK_BYTES):
        parts.append(part)
        total_bytes += len(part)
        if total_bytes > ANSWER_MAX_BYTES:
            raise RecordsUnreached(reason=N_("its answer is too long"))
    return b"".join(parts)


def _part_headers(file: File) -> dict[str, str]:
    return {
        "Content-Type": file.content_type,
        "Content-Transfer-Encoding": "binary",
        "X-Experience-API-Hash": file.sha2,
    }
