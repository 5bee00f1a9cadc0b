"""Signatures hold for one message, one key and one use; seals open for one receiver."""

import pytest
from nacl import bindings
from nacl.signing import VerifyKey as NaclVerifyKey

from content_packs.base.signing import SealBroken, SealingKey, SignatureInvalid, SigningKey, VerifyKey, seal


def test_a_signature_fits_its_message() -> None:
    key = SigningKey.generate()
    signature = key.sign("use", b"message")
    key.verify_key.verify("use", b"message", signature)
    assert NaclVerifyKey(key.verify_key.raw).verify(b"use\0message", signature) == b"use\0message"


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


def test_what_is_sealed_to_a_signing_key_is_opened_by_its_holder_alone() -> None:
    key = SigningKey.generate()
    sealed = seal(key.verify_key.sealing_public, b"roster")
    assert key.sealing_key.unseal(sealed) == b"roster"
    with pytest.raises(SealBroken):
        SigningKey.generate().sealing_key.unseal(sealed)


def test_the_derived_keys_are_those_of_libsodium() -> None:
    key = SigningKey.generate()
    assert key.verify_key.sealing_public == bindings.crypto_sign_ed25519_pk_to_curve25519(key.verify_key.raw)
    assert key.sealing_key.seed == bindings.crypto_sign_ed25519_sk_to_curve25519(key.seed + key.verify_key.raw)
    assert key.sealing_key.public == key.verify_key.sealing_public


# The key, and what it becomes, in libsodium's own test (test/default/ed25519_convert.c).
def test_a_known_key_becomes_what_libsodium_says() -> None:
    seed = bytes.fromhex("421151a459faeade3d247115f94aedae42318124095afabe4d1451a559faedee")
    key = SigningKey(seed)
    assert key.verify_key.sealing_public.hex() == "f1814f0e8ff1043d8a44d25babff3cedcae6c22c3edaa48f857ae70de2baae50"
    assert key.sealing_key.seed.hex() == "8052030376d47112be7f73ed7a019293dd12ad910b654455798b4667d73de166"


@pytest.mark.parametrize("raw", [b"", b"short", bytes(32), (1).to_bytes(32, "little"), b"\xff" * 32])
def test_a_key_that_nobody_could_open_seals_for_is_refused(raw: bytes) -> None:
    with pytest.raises(SealBroken):
        _ = VerifyKey(raw).sealing_public
