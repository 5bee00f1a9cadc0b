"""Files that come with statements, and signatures among them (1.0.3 part 2, 2.4.11 and 2.6; part 3, 1.5.2)."""

import asyncio
import json
from base64 import b64decode, b64encode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256, sha512
from typing import Any

import pytest
from aiohttp import ClientResponse, MultipartReader
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from edgebox.app import open_box
from edgebox.domain.xapi.signature import SIGNATURE_TYPE
from edgebox.http.xapi import multipart
from edgebox.keys import Box
from edgebox.services.attachments import Part
from edgebox.store import repairs
from edgebox.store.outside import refit
from edgebox.store.repairs import Repair, RepairKind
from tests.support.box import School
from tests.support.records import STATEMENTS, Records, make_id, make_statement, outside_client

TEXT = b"Nine tenths of a lesson.\r\n--not the boundary"
BOUNDARY = "b0undary"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def attachment(content: bytes, **changes: Any) -> dict[str, Any]:
    named = {
        "usageType": "http://example.org/use",
        "display": {"en": "A text"},
        "contentType": "text/plain",
        "length": len(content),
        "sha2": sha256(content).hexdigest(),
    }
    return named | changes


def part(content: bytes, **headers: str) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items() if value)
    return f"--{BOUNDARY}\r\n{lines}\r\n".encode() + content + b"\r\n"


def file_part(content: bytes, **changes: str) -> bytes:
    headers = {
        "Content_Type": "text/plain",
        "Content_Transfer_Encoding": "binary",
        "X_Experience_API_Hash": sha256(content).hexdigest(),
    }
    return part(content, **(headers | changes))


def json_part(statement: Any) -> bytes:
    return part(json.dumps(statement).encode(), Content_Type="application/json")


async def send(records: Records, *parts: bytes) -> ClientResponse:
    body = b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
    headers = {"Content-Type": f"multipart/mixed; boundary={BOUNDARY}"}
    return await records.ask("POST", STATEMENTS, data=body, headers=headers)


async def test_file_comes_back_with_its_statement(records: Records) -> None:
    statement = make_statement(1, attachments=[attachment(TEXT)])
    assert (await send(records, json_part(statement), file_part(TEXT))).status == 200
    for params in ({"statementId": make_id(1)}, {}):
        response = await records.ask("GET", STATEMENTS, params={**params, "attachments": "true"})
        assert response.headers["Content-Type"].startswith("multipart/mixed; boundary=")
        reader: Any = MultipartReader.from_response(response)
        body, file = await reader.next(), None
        found = json.loads(await body.read())
        assert (found if params else found["statements"][0])["attachments"] == statement["attachments"]
        file = await reader.next()
        assert await file.read() == TEXT
        assert file.headers["X-Experience-API-Hash"] == sha256(TEXT).hexdigest()
        assert file.headers["Content-Type"] == "text/plain"
        assert await reader.next() is None
    assert (await records.get(statementId=make_id(1)))["attachments"] == statement["attachments"]


async def test_file_of_a_longer_hash_is_taken(records: Records) -> None:
    long = sha512(TEXT).hexdigest()
    statement = make_statement(1, attachments=[attachment(TEXT, sha2=long.upper())])
    assert (await send(records, json_part(statement), file_part(TEXT, X_Experience_API_Hash=long))).status == 200


async def test_file_that_lies_elsewhere_need_not_come(records: Records) -> None:
    named = [attachment(TEXT, fileUrl="http://example.org/file")]
    await records.send(make_statement(1, attachments=named))
    assert (await records.get(statementId=make_id(1)))["attachments"] == named


async def test_file_is_given_only_with_statements_it_came_with(records: Records, school: School) -> None:
    theirs = make_statement(1, attachments=[attachment(TEXT)])
    assert (await send(records, json_part(theirs), file_part(TEXT))).status == 200
    named = [attachment(TEXT, fileUrl="http://example.org/file")]
    learner = school.learners[0]
    own = make_statement(2, actor=learner.actor, attachments=named)
    options: dict[str, Any] = {"headers": {"Authorization": f"Bearer {learner.token}"}}
    assert (await records.ask("POST", STATEMENTS, json=own, **options)).status == 200
    options = {"headers": {"Authorization": ""}, "cookies": learner.cookies}
    params = {"statementId": make_id(2), "attachments": "true"}
    response = await records.ask("GET", STATEMENTS, params=params, **options)
    assert response.status == 200
    assert TEXT not in await response.read()


async def test_file_has_the_content_type_it_came_with(records: Records) -> None:
    for number, kind in ((1, "text/plain"), (2, "text/markdown")):
        statement = make_statement(number, attachments=[attachment(TEXT, contentType=kind)])
        assert (await send(records, json_part(statement), file_part(TEXT, Content_Type=kind))).status == 200
        params = {"statementId": make_id(number), "attachments": "true"}
        content = await (await records.ask("GET", STATEMENTS, params=params)).read()
        assert f"\r\nContent-Type: {kind}\r\n".encode() in content


GOOD = make_statement(1, attachments=[attachment(TEXT)])
REFUSED: dict[str, list[bytes]] = {
    "the file did not come": [json_part(GOOD)],
    "a file nobody names": [json_part(make_statement(1)), file_part(TEXT)],
    "another file than its hash says": [
        json_part(GOOD),
        file_part(b"x", X_Experience_API_Hash=sha256(TEXT).hexdigest()),
    ],
    "no hash": [json_part(GOOD), file_part(TEXT, X_Experience_API_Hash="")],
    "a hash that is a path": [json_part(GOOD), file_part(TEXT, X_Experience_API_Hash="../" * 21 + "a")],
    "no encoding": [json_part(GOOD), file_part(TEXT, Content_Transfer_Encoding="")],
    "the file first": [file_part(TEXT), json_part(GOOD)],
    "nothing at all": [],
    "a content type that is no text": [json_part(GOOD), file_part(TEXT).replace(b"text/plain", b"text/\xff")],
    "a header that is none": [json_part(GOOD), file_part(TEXT).replace(b"Content-Type: ", b"Content Type\x00: ")],
    "a header that is too long": [json_part(GOOD), file_part(TEXT, Content_Type="a" * 20_000)],
    "too many headers": [json_part(GOOD), file_part(TEXT, **{f"X-{number}": "x" for number in range(500)})],
}


@pytest.mark.parametrize("parts", REFUSED.values(), ids=list(REFUSED))
async def test_files_that_do_not_fit_their_statement_are_refused(
    records: Records, school: School, parts: list[bytes]
) -> None:
    assert (await send(records, *parts)).status == 400
    assert await records.ids() == []
    kept = await asyncio.to_thread(lambda: [path for path in school.settings.attachments.rglob("*") if path.is_file()])
    assert kept == []


async def test_files_that_are_not_encoded_as_is_said_are_refused(records: Records) -> None:
    body = json_part(GOOD) + file_part(TEXT) + f"--{BOUNDARY}--\r\n".encode()
    headers = {"Content-Type": f"multipart/mixed; boundary={BOUNDARY}", "Content-Encoding": "gzip"}
    assert (await records.ask("POST", STATEMENTS, data=body, headers=headers)).status == 400


async def test_statement_that_names_a_file_is_not_taken_without_one(records: Records) -> None:
    assert (await records.ask("POST", STATEMENTS, json=GOOD)).status == 400


async def test_files_over_the_limit_are_refused(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "FILES_MAX_BYTES", 1000)
    big = bytes(2000)
    statement = make_statement(1, attachments=[attachment(big)])
    assert (await send(records, json_part(statement), file_part(big))).status == 413

    async def drip() -> Any:
        yield json_part(statement)
        yield file_part(big)

    headers = {"Content-Type": f"multipart/mixed; boundary={BOUNDARY}"}
    assert (await records.ask("POST", STATEMENTS, data=drip(), headers=headers)).status == 413


async def test_right_to_write_is_judged_before_anything_is_read(
    box: Box, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multipart, "FILES_MAX_BYTES", 100)
    assert (await send(records, json_part(GOOD), file_part(TEXT))).status == 413
    async with outside_client(box, may_write=False) as reader:
        assert (await send(reader, json_part(GOOD), file_part(TEXT))).status == 403


async def test_request_with_files_may_not_take_for_ever(
    records: Records, school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multipart, "TOTAL_SECONDS", 0)
    assert (await send(records, json_part(GOOD), file_part(TEXT))).status == 408
    assert await kept_files(school) == []


async def kept_files(school: School) -> list[str]:
    folder = school.settings.attachments
    return await asyncio.to_thread(lambda: [path.name for path in folder.rglob("*") if path.is_file()])


def hash_of(content: bytes) -> str:
    return sha256(content).hexdigest()


async def test_file_of_a_refused_statement_goes_unless_it_is_anybodys(
    records: Records, box: Box, school: School
) -> None:
    assert (await send(records, json_part(GOOD), file_part(TEXT))).status == 200
    other, another = b"another text", b"of a request that is under way"
    named = [attachment(content) for content in (TEXT, other, another)]
    parts = [file_part(content) for content in (TEXT, other, another)]
    waiting = Part(hash_of(another), "text/plain", len(another), school.settings.attachments / "waiting", True)
    await asyncio.to_thread(waiting.path.write_bytes, another)
    await box.record_store.files.keep([waiting])
    assert (await send(records, json_part(make_statement(1, attachments=named)), *parts)).status == 409
    assert set(await kept_files(school)) == {hash_of(TEXT), hash_of(another)}
    await box.record_store.files.settle([waiting], is_stored=False)
    assert await kept_files(school) == [hash_of(TEXT)]


async def test_answer_is_whole_where_a_file_is_gone(records: Records, school: School) -> None:
    assert (await send(records, json_part(GOOD), file_part(TEXT))).status == 200
    folder = school.settings.attachments
    await asyncio.to_thread(lambda: [path.unlink() for path in folder.rglob(hash_of(TEXT))])
    response = await records.ask("GET", STATEMENTS, params={"attachments": "true"})
    reader: Any = MultipartReader.from_response(response)
    assert len(json.loads(await (await reader.next()).read())["statements"]) == 1
    assert await reader.next() is None


async def test_start_removes_files_that_no_statement_names_and_no_others(box: Box, school: School) -> None:
    folder = school.settings.attachments
    stray, half = folder / "ab" / ("ab" * 32), folder / "coming" / "x" / "y"
    await asyncio.to_thread(lambda: [path.parent.mkdir(parents=True) for path in (stray, half)])
    await asyncio.to_thread(lambda: [path.write_bytes(b"x") for path in (stray, half)])
    await box.record_store.files.sweep()
    assert not await asyncio.to_thread(lambda: stray.exists() or half.exists())


async def test_file_is_kept_and_given_after_the_database_was_made_anew(school: School) -> None:
    async with open_box(school.settings) as box, outside_client(box) as records:
        assert (await send(records, json_part(GOOD), file_part(TEXT))).status == 200
        fault = "DELETE FROM attachment"
        await box.database.write(lambda db: db.execute(fault).rowcount)
        await box.database.write(refit)
        params = {"statementId": make_id(1), "attachments": "true"}
        assert TEXT in await (await records.ask("GET", STATEMENTS, params=params)).read()
        await box.database.write(lambda db: db.execute(fault).rowcount)
        await box.database.write(lambda db: repairs.add(db, Repair(RepairKind.REBUILT, 1, 0)))
        other = make_statement(1, attachments=[attachment(TEXT)], result={"success": False})
        assert (await send(records, json_part(other), file_part(TEXT))).status == 409
    async with open_box(school.settings) as box:
        assert await asyncio.to_thread(box.record_store.files.path_of(sha256(TEXT).hexdigest()).exists)


async def test_file_is_there_after_a_restart(school: School) -> None:
    for is_first in (True, False):
        async with open_box(school.settings) as box, outside_client(box) as records:
            if is_first:
                assert (await send(records, json_part(GOOD), file_part(TEXT))).status == 200
            response = await records.ask("GET", STATEMENTS, params={"attachments": "true"})
            assert TEXT in await response.read()


def encoded(content: bytes) -> bytes:
    return urlsafe_b64encode(content).rstrip(b"=")


def certificate() -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "signer")])
    now = datetime(2026, 1, 1, tzinfo=UTC)
    made = x509.CertificateBuilder(name, name, KEY.public_key(), x509.random_serial_number(), now, now + timedelta(9))
    return b64encode(made.sign(KEY, hashes.SHA256()).public_bytes(Encoding.DER)).decode()


def sign(payload: Any, algorithm: Any = "RS256", **header: Any) -> bytes:
    head = encoded(json.dumps({"alg": algorithm, **header}).encode())
    signed = head + b"." + encoded(payload if isinstance(payload, bytes) else json.dumps(payload).encode())
    kind = {"RS384": hashes.SHA384(), "RS512": hashes.SHA512()}.get(str(algorithm), hashes.SHA256())
    return signed + b"." + encoded(KEY.sign(signed, PKCS1v15(), kind))


async def send_signed(records: Records, signature: bytes, **changes: Any) -> int:
    signed = {"usageType": SIGNATURE_TYPE, "contentType": "application/octet-stream"}
    named = attachment(signature, **(signed | changes))
    response = await send(records, json_part(make_statement(1, attachments=[named])), file_part(signature))
    return response.status


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512"])
async def test_signed_statement_is_taken(records: Records, algorithm: str) -> None:
    assert await send_signed(records, sign(make_statement(1), algorithm)) == 200
    assert await records.ids() == [1]


async def test_signature_with_its_certificate_is_verified(records: Records) -> None:
    good = sign(make_statement(1), x5c=[certificate()])
    spoilt = good[:-8] + (b"AAAAAAAA" if not good.endswith(b"AAAAAAAA") else b"BBBBBBBB")
    assert await send_signed(records, spoilt) == 400
    assert await send_signed(records, good) == 200


def other_certificate(old: bytes, new: bytes) -> str:
    content = b64decode(certificate())
    assert content.count(old) == 1
    return b64encode(content.replace(old, new)).decode()


RSA_OID = bytes.fromhex("06092a864886f70d010101")
UNKNOWN_OID = bytes.fromhex("06092a864886f70d010163")
VERSION_THREE = bytes.fromhex("a003020102")
VERSION_NINE = bytes.fromhex("a003020109")
WRONG: dict[str, tuple[bytes, dict[str, Any]]] = {
    "another algorithm": (sign(make_statement(1), "HS256"), {}),
    "none": (sign(make_statement(1), "none"), {}),
    "another statement": (sign(make_statement(1, verb={"id": "http://example.org/other"})), {}),
    "no JSON": (sign(b"{"), {}),
    "no JWS": (b"signed, I swear", {}),
    "another content type": (sign(make_statement(1)), {"contentType": "text/plain"}),
    "a certificate that is none": (sign(make_statement(1), x5c=["AAAA"]), {}),
    "certificates that are no list": (sign(make_statement(1), x5c=5), {}),
    "an algorithm that is no text": (sign(make_statement(1), []), {}),
    "a certificate of an unknown key": (
        sign(make_statement(1), x5c=[other_certificate(RSA_OID, UNKNOWN_OID)]),
        {},
    ),
    "a certificate of an unknown version": (
        sign(make_statement(1), x5c=[other_certificate(VERSION_THREE, VERSION_NINE)]),
        {},
    ),
    "a head that is no object": (b".".join([encoded(b"[]"), encoded(b"{}"), b"AA"]), {}),
}


@pytest.mark.parametrize(("signature", "changes"), WRONG.values(), ids=list(WRONG))
async def test_signature_that_does_not_hold_is_refused(
    records: Records, signature: bytes, changes: dict[str, Any]
) -> None:
    assert await send_signed(records, signature, **changes) == 400
    assert await records.ids() == []


async def test_statement_has_no_more_than_one_signature(records: Records) -> None:
    signature = sign(make_statement(1))
    named = attachment(signature, usageType=SIGNATURE_TYPE, contentType="application/octet-stream")
    statement = make_statement(1, attachments=[named, named])
    assert (await send(records, json_part(statement), file_part(signature))).status == 400


async def test_signature_must_come_with_its_statement(records: Records) -> None:
    named = attachment(b"x", usageType=SIGNATURE_TYPE, contentType="application/octet-stream", fileUrl="http://a.b/c")
    assert (await records.ask("POST", STATEMENTS, json=make_statement(1, attachments=[named]))).status == 400
