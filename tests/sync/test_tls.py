"""HTTPS between box and hub: the hub proves who it is, and after a cut the session goes on."""

import argparse
import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from sync.bundle.read import read_ack
from sync.enrolment import make_request
from sync.hub.commands import register
from sync.transport import connection
from sync.transport.errors import LinkCaptured, LinkDown
from sync.transport.http import HttpTransport
from sync.transport.tls import make_context
from tests.support.cut_proxy import cut_proxy
from tests.sync.hub_support import TestHub, hub_on
from tests.sync.makers import Maker, registries
from tests.sync.test_hub_uploads import long_records


@dataclass
class Secure:
    """A hub that serves HTTPS, a box it knows, and the file of who vouches for it."""

    hub: TestHub
    maker: Maker
    authorities: Path


@pytest.fixture
async def secure(tmp_path: Path) -> AsyncIterator[Secure]:
    async with secure_hub(tmp_path) as made:
        yield made


@asynccontextmanager
async def secure_hub(folder: Path) -> AsyncIterator[Secure]:
    vouching = await asyncio.to_thread(trustme.CA)
    own = await asyncio.to_thread(vouching.issue_cert, "127.0.0.1", "hub.example.org")
    certificate, authorities = folder / "hub.pem", folder / "authorities.pem"
    own.private_key_and_cert_chain_pem.write_to_path(certificate)
    vouching.cert_pem.write_to_path(authorities)
    async with hub_on(folder / "hub", certificate=certificate) as hub:
        maker = Maker(receiver=hub.listening.hub.keys.sealing)
        code = await hub.listening.hub.enrolling.make_code("Hill School")
        await hub.listening.hub.enrolling.enroll(make_request(code, maker.key), "here")
        yield Secure(hub, maker, authorities)


async def test_a_bundle_goes_to_a_hub_that_proves_who_it_is(secure: Secure) -> None:
    transport = HttpTransport(secure.hub.url, authorities=secure.authorities)
    answer = await transport.deliver(secure.maker.next(registries()))
    await transport.close()
    assert read_ack(answer, secure.hub.listening.hub.keys.signing.verify_key).vector.through_seq == 1


async def test_whoever_cannot_prove_to_be_the_hub_gets_nothing(secure: Secure) -> None:
    transport = HttpTransport(secure.hub.url)
    with pytest.raises(LinkCaptured) as captured:
        await transport.deliver(secure.maker.next(registries()))
    assert captured.value.fields["reason"] == "certificate"
    with pytest.raises(LinkCaptured):
        await transport.enroll({})
    await transport.close()


async def test_a_certificate_of_another_name_is_somebody_elses(secure: Secure, tmp_path: Path) -> None:
    transport = HttpTransport(secure.hub.url.replace("127.0.0.1", "localhost"), authorities=secure.authorities)
    with pytest.raises(LinkCaptured):
        await transport.deliver(secure.maker.next(registries()))
    await transport.close()


async def test_plain_http_is_not_answered_by_a_hub_that_serves_https(secure: Secure, hasty: None) -> None:
    transport = HttpTransport(secure.hub.url.replace("https:", "http:"))
    with pytest.raises(LinkDown):
        await transport.deliver(secure.maker.next(registries()))
    await transport.close()


async def test_an_unreadable_file_of_authorities_is_told(tmp_path: Path) -> None:
    transport = HttpTransport("https://127.0.0.1:1", authorities=tmp_path / "missing")
    with pytest.raises(LinkCaptured):
        await transport.deliver(b"")


async def test_the_second_connection_goes_on_with_the_session_of_the_first(
    secure: Secure, hasty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    reused = []
    opened = connection.Connection.__init__

    def note(self: connection.Connection, *arguments: object) -> None:
        opened(self, *arguments)  # type: ignore[arg-type]
        reused.append(self._writer.get_extra_info("ssl_object").session_reused)

    monkeypatch.setattr(connection.Connection, "__init__", note)
    async with cut_proxy(secure.hub.listening.port) as proxy:
        proxy.cuts = iter([("up", 60_000)])
        transport = HttpTransport(proxy.url.replace("http:", "https:"), authorities=secure.authorities)
        await transport.deliver(secure.maker.next(long_records(2_000)))
        await transport.close()
    assert reused[0] is False
    assert reused[-1] is True
    assert len(reused) > 1


async def test_a_context_without_a_session_makes_a_new_one(secure: Secure) -> None:
    context = await asyncio.to_thread(make_context, secure.authorities)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    for expected in (False, True):
        reader, writer = await asyncio.open_connection("127.0.0.1", secure.hub.listening.port, ssl=context)
        writer.write(b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"204" in await reader.readline()
        assert writer.get_extra_info("ssl_object").session_reused is expected
        writer.close()
        await writer.wait_closed()


def test_a_certificate_that_cannot_be_read_is_said_at_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    register(parser.add_subparsers())
    options = parser.parse_args(
        ["hub", "serve", "--data", str(tmp_path), "--certificate", str(tmp_path / "missing.pem")]
    )
    with pytest.raises(SystemExit):
        options.run(options)
    assert "--certificate" in capsys.readouterr().err
