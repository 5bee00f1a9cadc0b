"""Adaptive range coding: a model is written once and serves both directions. See docs/bundle-format.md, "Range coder".

`Writer` and `Reader` have the same methods. A writer is given the value, codes it and returns it; a reader is given
anything, decodes the value and returns it. Whatever a model needs to foretell the next value it takes from what was
returned, so both sides stay in step. The coder is the carry-propagating one of Martin ("Range encoding", 1979) with 32
bits; bytes that are zero at the end are left out, and a reader past the end reads zeros.
"""

from collections.abc import Sequence
from typing import Any, Protocol

_TOP = 1 << 24
_MASK = 0xFFFFFFFF
_TOTAL_MAX = 1 << 15
_RAW_STEP_BITS = 12
_LEADING_BITS = 3
_STEP = 32
_FINE_STEP = 2
_LEADING_PLACES = 8
# Numbers have up to 64 bits, so their lengths are 65 symbols; short ones, and none at all, are likelier.
_LENGTHS = (30, *(10,) * 17, *(1,) * 47)
_LENGTH_STEP = 128
_EQUAL = tuple((1,) * size for size in range((1 << _LEADING_BITS) + 1))


class Counts:
    """How often each symbol of one context came; halved when the total gets large, so that what is recent counts."""

    __slots__ = ("counts", "step", "total")

    def __init__(self, first: Sequence[int], step: int) -> None:
        self.counts = list(first)
        self.total = sum(first)
        self.step = step

    def halve(self) -> None:
        """Halve every count, none to zero."""
        self.counts = [(count + 1) >> 1 for count in self.counts]
        self.total = sum(self.counts)


class Lengths:
    """The contexts of one number: of its length, and of its leading bits by length and what came before them."""

    __slots__ = ("leading", "length")

    def __init__(self) -> None:
        self.length = Counts(_LENGTHS, _LENGTH_STEP)
        self.leading: dict[int, Counts] = {}

    def of_bits(self, length: int, leading: int, taken: int) -> Counts:
        """Return the context of the next `taken` bits."""
        place = length << _LEADING_PLACES | leading
        found = self.leading.get(place)
        if found is None:
            found = self.leading[place] = Counts(_EQUAL[1 << taken], _FINE_STEP)
        return found


class Coder(Protocol):
    """One direction of a range coder."""

    def symbol(self, key: Any, first: Sequence[int], symbol: int, step: int = _STEP) -> int:
        """Code one of the symbols in the context `key`, which begins with the counts `first`."""

    def raw(self, value: int, bits: int) -> int:
        """Code `bits` bits that nothing foretells."""

    def number(self, key: Any, value: int) -> int:
        """Code a number from 0 to 2**64 - 1: its length, then its leading bits by what was seen, the rest as it is."""

    def signed(self, key: Any, value: int) -> int:
        """Code a number from -2**63 to 2**63 - 1."""


class Writer:
    """Codes values into bytes."""

    def __init__(self) -> None:
        self._contexts: dict[Any, Counts] = {}
        self._lengths: dict[Any, Lengths] = {}
        self._low = 0
        self._range = _MASK
        self._out = bytearray()
        self._held = -1  # the last byte, which a carry may still change; -1 before the first
        self._pending = 0  # how many bytes of 0xff follow it

    def symbol(self, key: Any, first: Sequence[int], symbol: int, step: int = _STEP) -> int:
        """See `Coder`."""
        context = self._contexts.get(key)
        if context is None:
            context = self._contexts[key] = Counts(first, step)
        self._put(context, symbol)
        return symbol

    def _put(self, context: Counts, symbol: int) -> None:
        counts = context.counts
        part = self._range // context.total
        if symbol:
            self._low += part * sum(counts[:symbol])
        self._range = part * counts[symbol]
        while self._range < _TOP:
            self._range <<= 8
            self._shift()
        counts[symbol] += context.step
        context.total += context.step
        if context.total > _TOTAL_MAX:
            context.halve()

    def raw(self, value: int, bits: int) -> int:
        """See `Coder`."""
        left = bits
        while left > 0:
            taken = min(left, _RAW_STEP_BITS)
            left -= taken
            self._range >>= taken
            self._low += self._range * (value >> left & (1 << taken) - 1)
            while self._range < _TOP:
                self._range <<= 8
                self._shift()
        return value

    def number(self, key: Any, value: int) -> int:
        """See `Coder`."""
        context = self._lengths.get(key)
        if context is None:
            context = self._lengths[key] = Lengths()
        length = value.bit_length()
        self._put(context.length, length)
        rest, leading = length - 1, 1
        for _ in range(2):
            if rest <= 0:
                return value
            taken = min(rest, _LEADING_BITS)
            rest -= taken
            bits = value >> rest & (1 << taken) - 1
            self._put(context.of_bits(length, leading, taken), bits)
            leading = leading << taken | bits
        if rest:
            self.raw(value & (1 << rest) - 1, rest)
        return value

    def signed(self, key: Any, value: int) -> int:
        """See `Coder`."""
        self.number(key, value << 1 if value >= 0 else -value << 1 | 1 if value != -(1 << 63) else 1)
        return value

    def finish(self) -> bytes:
        """Return the bytes; the writer is used up."""
        # Of all numbers in the range left, the one with most zero bits at its end.
        for bits in range(32, -1, -1):
            candidate = self._low + (1 << bits) - 1 >> bits << bits
            if candidate < self._low + self._range:
                self._low = candidate
                break
        for _ in range(5):
            self._shift()
        return bytes(self._out).rstrip(b"\0")

    def _shift(self) -> None:
        carry = self._low >> 32
        if self._low < 0xFF000000 or carry:
            if self._held >= 0:
                self._out.append(self._held + carry & 0xFF)
            self._out += bytes([0xFF + carry & 0xFF]) * self._pending
            self._pending = 0
            self._held = self._low >> 24 & 0xFF
        else:
            self._pending += 1
        self._low = self._low << 8 & _MASK


class Reader:
    """Decodes values from bytes, whatever they are."""

    def __init__(self, content: bytes) -> None:
        self._contexts: dict[Any, Counts] = {}
        self._lengths: dict[Any, Lengths] = {}
        self._content = content
        self._place = 4
        self._range = _MASK
        self._code = int.from_bytes(content[:4].ljust(4, b"\0"), "big")

    @property
    def is_used_up(self) -> bool:
        """Return whether every byte was needed."""
        return self._place >= len(self._content)

    def symbol(self, key: Any, first: Sequence[int], _symbol: int, step: int = _STEP) -> int:
        """See `Coder`."""
        context = self._contexts.get(key)
        if context is None:
            context = self._contexts[key] = Counts(first, step)
        return self._take(context)

    def _take(self, context: Counts) -> int:
        counts, total = context.counts, context.total
        part = self._range // total
        left = min(self._code // part, total - 1)
        symbol = 0
        while (left := left - counts[symbol]) >= 0:
            symbol += 1
        if symbol:
            self._code -= part * sum(counts[:symbol])
        self._range = part * counts[symbol]
        if self._range < _TOP:
            self._refill()
        counts[symbol] += context.step
        context.total = total + context.step
        if context.total > _TOTAL_MAX:
            context.halve()
        return symbol

    def raw(self, _value: int, bits: int) -> int:
        """See `Coder`."""
        value, left = 0, bits
        while left > 0:
            taken = min(left, _RAW_STEP_BITS)
            left -= taken
            self._range >>= taken
            found = min(self._code // self._range, (1 << taken) - 1)
            self._code -= self._range * found
            self._refill()
            value = value << taken | found
        return value

    def number(self, key: Any, _value: int) -> int:
        """See `Coder`."""
        context = self._lengths.get(key)
        if context is None:
            context = self._lengths[key] = Lengths()
        length = self._take(context.length)
        if length == 0:
            return 0
        rest, leading = length - 1, 1
        for _ in range(2):
            if rest <= 0:
                return leading
            taken = min(rest, _LEADING_BITS)
            rest -= taken
            leading = leading << taken | self._take(context.of_bits(length, leading, taken))
        return leading << rest | self.raw(0, rest)

    def signed(self, key: Any, _value: int) -> int:
        """See `Coder`."""
        folded = self.number(key, 0)
        if folded == 1:
            return -(1 << 63)
        return -(folded >> 1) if folded & 1 else folded >> 1

    def _refill(self) -> None:
        while self._range < _TOP:
            self._range <<= 8
            place = self._place
            self._code = (self._code << 8 | (self._content[place] if place < len(self._content) else 0)) & _MASK
            self._place = place + 1
