"""Signatures hold for one message, one key and one use; seals open for one receiver."""

import pytest

from content_packs.base.signing import SealBroken, SealingKey, SignatureInvalid, SigningKey, VerifyKey, seal


def test_a_signature_fits_its_message() -> None:
    key = SigningKey.generate()
    key.verify_key.verify("use", b"message", key.sign("use", b"message"))


@pytest.mark.parametrize(("domain", "message"), [("other use", b"message"), ("use", b"another")])
def test_a_signature_fits_nothing_else(domain: str, message: bytes) -> None:
    key = SigningKey.generate()
    with pytest.raises(SignatureInvalid):
        key.verify_key.verify(domain, message, key.sign("use", b"message"))


def test_another_key_does_not_fit() -> None:
    signature = SigningKey.generate().sign("use", b"message")
    with pytest.raises(SignatureInvalid):
        SigningKey.generate().verify_key.verify("use", b"message", signature)


@pytest.mark.parametrize("raw", [b"", b"short", bytes(32)])
def test_a_malformed_key_or_signature_is_refused(raw: bytes) -> None:
    with pytest.raises(SignatureInvalid):
        VerifyKey(raw).verify("use", b"message", b"signature")


def test_only_the_receiver_opens_a_seal() -> None:
    receiver = SealingKey.generate()
    sealed = seal(receiver.public, b"progress")
    assert receiver.unseal(sealed) == b"progress"
    with pytest.raises(SealBroken):
        SealingKey.generate().unseal(sealed)
    with pytest.raises(SealBroken):
        receiver.unseal(sealed[:-1] + bytes([sealed[-1] ^ 1]))


def test_a_stored_key_is_the_same_key() -> None:
    key = SigningKey.generate()
    assert SigningKey(key.seed).verify_key.key_id == key.verify_key.key_id
