"""The vectors of docs/vectors: what the page's examples say is what the reader and the writer do."""

import json
from pathlib import Path
from typing import Any

import pytest

from content_packs.base.errors import EdgeboxError
from content_packs.format import envelope
from content_packs.format import manifest as manifests
from tests.support import pack_vectors

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "docs" / "vectors" / "pack-v1.json").read_text("utf-8")
)
TRUSTED = {pack_vectors.KEY.verify_key.key_id: pack_vectors.KEY.verify_key}


def test_vectors_are_those_the_code_makes() -> None:
    assert pack_vectors.vectors() == VECTORS


@pytest.mark.parametrize("vector", VECTORS["accepted"], ids=lambda vector: str(vector["name"]))
def test_accepted_vector_is_read_and_written_back_to_the_same_bytes(vector: dict[str, str]) -> None:
    manifest, signer = envelope.open_envelope(bytes.fromhex(vector["envelope"]), TRUSTED)
    assert manifests.serialise(manifest).hex() == vector["signed"]
    assert manifest.root.hex() == vector["root"]
    assert signer == pack_vectors.KEY.verify_key.key_id


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda vector: str(vector["name"]))
def test_refused_vector_is_refused_with_its_code(vector: dict[str, str]) -> None:
    with pytest.raises(EdgeboxError) as caught:
        envelope.open_envelope(bytes.fromhex(vector["envelope"]), TRUSTED)
    assert caught.value.code == vector["code"]
