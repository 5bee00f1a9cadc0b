"""The envelope: nothing is believed that a trusted key did not sign, byte for byte."""

import pytest

from content_packs.base import codec
from content_packs.base.errors import EdgeboxError
from content_packs.format import envelope, keyfile
from content_packs.format import manifest as manifests
from content_packs.format.errors import (
    FormatUnsupported,
    ManifestMalformed,
    PackSignatureInvalid,
    PackUnsigned,
    SignerUnknown,
    SourceInvalid,
)
from tests.support.course import PUBLISHER, STRANGER, TRUSTED
from tests.support.packs import small_manifest

SIGNED = envelope.seal_envelope(small_manifest(), [PUBLISHER])


def test_signed_manifest_opens_and_names_its_signer() -> None:
    manifest, signer = envelope.open_envelope(SIGNED, TRUSTED)
    assert manifest == small_manifest()
    assert signer == PUBLISHER.verify_key.key_id


def test_any_changed_byte_is_refused() -> None:
    for at in range(len(SIGNED)):
        for flip in (0x01, 0x80):
            changed = SIGNED[:at] + bytes([SIGNED[at] ^ flip]) + SIGNED[at + 1 :]
            with pytest.raises(EdgeboxError):
                envelope.open_envelope(changed, TRUSTED)


def test_any_truncation_or_addition_is_refused() -> None:
    for changed in [*(SIGNED[:end] for end in range(0, len(SIGNED), 7)), SIGNED + b"\0"]:
        with pytest.raises(ManifestMalformed):
            envelope.open_envelope(changed, TRUSTED)


def test_pack_without_signature_is_refused() -> None:
    with pytest.raises(PackUnsigned):
        envelope.open_envelope(envelope.seal_envelope(small_manifest(), []), TRUSTED)


def test_pack_signed_by_a_stranger_is_refused_with_the_key_named() -> None:
    with pytest.raises(SignerUnknown) as caught:
        envelope.open_envelope(envelope.seal_envelope(small_manifest(), [STRANGER]), TRUSTED)
    assert caught.value.fields["signer"] == STRANGER.verify_key.key_id.hex()


def test_strangers_signature_beside_a_trusted_one_does_no_harm() -> None:
    both = envelope.seal_envelope(small_manifest(), [STRANGER, PUBLISHER])
    assert envelope.open_envelope(both, TRUSTED)[1] == PUBLISHER.verify_key.key_id


def test_stranger_cannot_sign_under_a_trusted_key_id() -> None:
    signed = manifests.serialise(small_manifest())
    forged = STRANGER.sign(envelope.DOMAIN, signed)
    data = codec.encode({"format": 1, "signed": signed, "signatures": [[PUBLISHER.verify_key.key_id, forged]]})
    with pytest.raises(PackSignatureInvalid):
        envelope.open_envelope(data, TRUSTED)


def test_signature_for_another_purpose_is_refused() -> None:
    signed = manifests.serialise(small_manifest())
    other = PUBLISHER.sign("edgebox bundle v1", signed)
    data = codec.encode({"format": 1, "signed": signed, "signatures": [[PUBLISHER.verify_key.key_id, other]]})
    with pytest.raises(PackSignatureInvalid):
        envelope.open_envelope(data, TRUSTED)


def test_signature_is_checked_before_the_manifest_is_read() -> None:
    data = codec.encode({"format": 1, "signed": b"\xc1", "signatures": [[PUBLISHER.verify_key.key_id, bytes(64)]]})
    with pytest.raises(PackSignatureInvalid):
        envelope.open_envelope(data, TRUSTED)


def test_newer_envelope_needs_a_newer_box() -> None:
    with pytest.raises(FormatUnsupported):
        envelope.open_envelope(codec.encode({"format": 2, "else": 1}), TRUSTED)


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"format": 1},
        {"format": 1, "signed": "text", "signatures": []},
        {"format": 1, "signed": b"", "signatures": [[b"short", bytes(64)]]},
        {"format": 1, "signed": b"", "signatures": [[bytes(16), bytes(64)]] * 9},
        {"format": 1, "signed": b"", "signatures": [], "more": 1},
    ],
)
def test_other_shape_is_refused(value: object) -> None:
    with pytest.raises(ManifestMalformed):
        envelope.open_envelope(codec.encode(value), TRUSTED)


def test_key_files_give_back_the_keys() -> None:
    secret = keyfile.format_secret(PUBLISHER).encode()
    public = keyfile.format_public(PUBLISHER.verify_key, "مدرسة الأمل").encode()
    assert keyfile.parse_secret(secret, "x").seed == PUBLISHER.seed
    assert keyfile.parse_public(public, "x") == (PUBLISHER.verify_key, "مدرسة الأمل")


@pytest.mark.parametrize(
    "content",
    [b"", b"edgebox-key-1 00", b"edgebox-key-2 " + b"0" * 64, b"\xff" * 90, b"edgebox-pub-1 " + b"0" * 64 + b" a\nb"],
)
def test_anything_else_is_no_key_file(content: bytes) -> None:
    for parse in (keyfile.parse_secret, keyfile.parse_public):
        with pytest.raises(SourceInvalid) as caught:
            parse(content, "name.key")
        assert caught.value.fields["file"] == "name.key"


@pytest.mark.parametrize("name", ["", "a\nb", "a\u202eb", " a", "x" * 201])
def test_publisher_name_that_cannot_be_shown_is_refused(name: str) -> None:
    with pytest.raises(SourceInvalid):
        keyfile.format_public(PUBLISHER.verify_key, name)


def seal_bytes(signed: bytes) -> bytes:
    signatures = [[STRANGER.verify_key.key_id, STRANGER.sign(envelope.DOMAIN, signed)]]
    return codec.encode({"format": 1, "signed": signed, "signatures": signatures})


def test_what_a_stranger_says_is_read_within_bounds_only() -> None:
    assert envelope.open_claim(envelope.seal_envelope(small_manifest(), [STRANGER])) == small_manifest()
    few = b"\xdc" + (15_000).to_bytes(2, "big") + b"\x90" * 15_000
    with pytest.raises(ManifestMalformed) as caught:
        envelope.open_claim(seal_bytes(b"\x92" + few + few))
    assert caught.value.fields["reason"] == "too many parts"
    assert envelope.open_claim(seal_bytes(b"\x90" * 1_100_000)) is None


def test_an_envelope_has_no_room_for_a_bomb_beside_the_manifest() -> None:
    padded = {"format": 1, "signed": b"", "signatures": [[] for _ in range(100)]}
    with pytest.raises(ManifestMalformed):
        envelope.split_envelope(codec.encode(padded))
