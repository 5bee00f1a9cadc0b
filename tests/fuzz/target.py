"""What a target of the fuzzer is."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from content_packs.base.errors import EdgeboxError


@dataclass(frozen=True)
class Target:
    """One parser.

    Attributes:
        parse: feeds it; raises EdgeboxError or nothing.
        seeds: good and bad inputs to begin with.
    """

    name: str
    parse: Callable[[bytes], None]
    seeds: Sequence[bytes]


def run(target: Target, data: bytes) -> None:
    """Feed one input; what is refused with a code is fine."""
    with contextlib.suppress(EdgeboxError):
        target.parse(data)


def void(_value: object) -> None:
    """Take a value and give nothing, for targets that only parse."""
