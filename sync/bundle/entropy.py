"""Adaptive range coding: a model is written once and serves both directions. See docs/bundle-format.md, "Range coder".

`Writer` and `Reader` have the same methods. A writer is given the value, codes it and returns it; a reader is given
anything, decodes the value and returns it. Whatever a model needs to foretell the next value it takes from what was
returned, so both sides stay in step. The coder is the carry-propagating one of Martin ("Range encoding", 1979) with 32
bits; bytes that are zero at the end are left out, and a reader past the end reads zeros.

A day's bundle is a quarter of a million symbols, so each is coded within one call, on local names.
"""

from collections.abc import Callable, Sequence
from operator import length_hint
from typing import Protocol, TypeVar

from sync.bundle.columns import wrap

K = TypeVar("K")
C = TypeVar("C")

STEP = 32
_TOP = 1 << 24
_MASK = 0xFFFFFFFF
_TOTAL_MAX = 1 << 15
_RAW_STEP_BITS = 12
_RAW_MAX_BITS = 128
_FINE_STEP = 2
_LEADING_BITS = 3
_LEADING_GROUPS = 2
_SIGN = 1 << 63
_MODULUS = 1 << 64
_LENGTH_MAX = 64
# Numbers have up to 64 bits, so their lengths are 65 symbols; short ones, and none at all, are likelier.
_LENGTHS = (30, *(10,) * 17, *(1,) * 47)
_LENGTH_STEP = 128


class Counts:
    """How often each symbol of one context came; halved when the total gets large, so that what is recent counts."""

    __slots__ = ("counts", "step", "total")

    def __init__(self, first: Sequence[int], step: int = STEP) -> None:
        self.counts = list(first)
        self.total = sum(first)
        self.step = step

    def halve(self) -> None:
        """Halve every count, none to zero."""
        self.counts = [(count + 1) >> 1 for count in self.counts]
        self.total = sum(self.counts)


class Odds:
    """How often each of two outcomes came: the context of one bit."""

    __slots__ = ("step", "total", "zeros")

    def __init__(self, step: int = STEP) -> None:
        self.zeros = 1
        self.total = 2
        self.step = step

    def halve(self) -> None:
        """Halve both counts, none to zero."""
        ones = (self.total - self.zeros + 1) >> 1
        self.zeros = (self.zeros + 1) >> 1
        self.total = self.zeros + ones


class Contexts(dict[K, C]):
    """Contexts of one kind by what they depend on; each begins when it is first used."""

    __slots__ = ("_begin",)

    def __init__(self, begin: Callable[[], C]) -> None:
        super().__init__()
        self._begin = begin

    def __missing__(self, key: K) -> C:
        found = self[key] = self._begin()
        return found


class Number:
    """The contexts of one number: of its length, and of its leading bits by length and what came before them."""

    __slots__ = ("leading", "length")

    def __init__(self) -> None:
        self.length = Counts(_LENGTHS, _LENGTH_STEP)
        self.leading = Contexts[int, list[Counts | None]](_no_leading)

    def begin(self, length: int, above: int, taken: int) -> Counts:
        """Return a context for as many bits below those above, which is used for the first time."""
        found = self.leading[length][above] = Counts((1,) * (1 << taken), _FINE_STEP)
        return found


def _no_leading() -> list[Counts | None]:
    return [None] * (2 << (_LEADING_GROUPS - 1) * _LEADING_BITS)  # by the bits above, the highest one included


def _split(bits: int, group_bits: int, groups_max: int) -> tuple[tuple[int, int, int], ...]:
    """Return the groups of so many bits, the highest first: bits below the group, bits in it, and their mask."""
    found: list[tuple[int, int, int]] = []
    while bits > 0 and len(found) < groups_max:
        taken = min(bits, group_bits)
        bits -= taken
        found.append((bits, taken, (1 << taken) - 1))
    return tuple(found)


_RAW = tuple(_split(bits, _RAW_STEP_BITS, _RAW_MAX_BITS) for bits in range(_RAW_MAX_BITS + 1))
# By the length of a number: the groups of its leading bits behind the first, and how many bits are left then.
_LEADING = tuple(_split(length - 1, _LEADING_BITS, _LEADING_GROUPS) for length in range(_LENGTH_MAX + 1))
_REST = tuple(groups[-1][0] if groups else 0 for groups in _LEADING)


class Coder(Protocol):
    """One direction of a range coder."""

    def symbol(self, context: Counts, symbol: int) -> int:
        """Code one of the symbols of a context."""

    def bit(self, context: Odds, bit: bool) -> bool:
        """Code one of two outcomes."""

    def raw(self, value: int, bits: int) -> int:
        """Code `bits` bits that nothing foretells."""

    def number(self, context: Number, value: int) -> int:
        """Code a number from 0 to 2**64 - 1: its length, then its leading bits by what was seen, the rest as it is."""

    def near(self, context: Number, value: int, expected: int = 0) -> int:
        """Code a number from -2**63 to 2**63 - 1 by how far it is from what is expected, modulo 2**64."""


class Writer:
    """Codes values into bytes."""

    def __init__(self) -> None:
        self._low = 0
        self._range = _MASK
        self._out = bytearray()

    def symbol(self, context: Counts, symbol: int) -> int:
        """See `Coder`."""
        counts, total = context.counts, context.total
        count, part = counts[symbol], self._range // total
        if symbol:
            self._low += part * sum(counts[:symbol])
        self._range = part * count
        if self._range < _TOP:
            self._shift()
        counts[symbol] = count + context.step
        context.total = total = total + context.step
        if total > _TOTAL_MAX:
            context.halve()
        return symbol

    def bit(self, context: Odds, bit: bool) -> bool:
        """See `Coder`."""
        zeros, total = context.zeros, context.total
        part = self._range // total
        if bit:
            self._low += part * zeros
            self._range = part * (total - zeros)
        else:
            self._range = part * zeros
            context.zeros = zeros + context.step
        if self._range < _TOP:
            self._shift()
        context.total = total = total + context.step
        if total > _TOTAL_MAX:
            context.halve()
        return bit

    def raw(self, value: int, bits: int) -> int:
        """See `Coder`."""
        for left, taken, mask in _RAW[bits]:
            self._range >>= taken
            self._low += self._range * (value >> left & mask)
            if self._range < _TOP:
                self._shift()
        return value

    def number(self, context: Number, value: int) -> int:
        """See `Coder`."""
        length = value.bit_length()
        self.symbol(context.length, length)
        leading = context.leading[length]
        for below, taken, mask in _LEADING[length]:
            bits = value >> below
            above = bits >> taken
            self.symbol(leading[above] or context.begin(length, above, taken), bits & mask)
        if rest := _REST[length]:
            self.raw(value, rest)
        return value

    def near(self, context: Number, value: int, expected: int = 0) -> int:
        """See `Coder`."""
        difference = value - expected
        if not -_SIGN < difference < _SIGN:
            difference = wrap(difference)
        # The lowest of all comes to 1, which is free, because 0 is no negative number.
        self.number(context, difference << 1 if difference >= 0 else (-difference << 1 | 1) & _MODULUS - 1)
        return value

    def finish(self) -> bytes:
        """Return the bytes; the writer is used up."""
        # Of all numbers in the range left, the one with most zero bits at its end.
        for bits in range(32, -1, -1):
            candidate = self._low + (1 << bits) - 1 >> bits << bits
            if candidate < self._low + self._range:
                self._low = candidate
                break
        if self._low > _MASK:
            self._carry()
        self._out += self._low.to_bytes(4, "big")
        return bytes(self._out).rstrip(b"\0")

    def _shift(self) -> None:
        """Write bytes that are certain, but for a carry, until the range is large enough again."""
        if self._low > _MASK:
            self._carry()
        low, size = self._low, self._range
        while size < _TOP:
            size <<= 8
            self._out.append(low >> 24)
            low = low << 8 & _MASK
        self._low, self._range = low, size

    def _carry(self) -> None:
        out, place = self._out, len(self._out) - 1
        while out[place] == 0xFF:
            out[place] = 0
            place -= 1
        out[place] += 1
        self._low &= _MASK


class Reader:
    """Decodes values from bytes, whatever they are."""

    def __init__(self, content: bytes) -> None:
        self._left = iter(content[4:])
        self._range = _MASK
        self._code = int.from_bytes(content[:4].ljust(4, b"\0"), "big")

    @property
    def is_used_up(self) -> bool:
        """Return whether every byte was needed."""
        return not length_hint(self._left)

    def symbol(self, context: Counts, _symbol: int) -> int:
        """See `Coder`."""
        counts, total, symbol = context.counts, context.total, 0
        part, count = self._range // total, counts[0]
        found = self._code // part
        if found >= total:
            found = total - 1
        left = found
        while left >= count:
            left -= count
            symbol += 1
            count = counts[symbol]
        self._code -= part * (found - left)
        self._range = part * count
        if self._range < _TOP:
            self._refill()
        counts[symbol] = count + context.step
        context.total = total = total + context.step
        if total > _TOTAL_MAX:
            context.halve()
        return symbol

    def bit(self, context: Odds, _bit: bool) -> bool:
        """See `Coder`."""
        zeros, total = context.zeros, context.total
        part = self._range // total
        edge = part * zeros
        bit = self._code >= edge
        if bit:
            self._code -= edge
            self._range = part * (total - zeros)
        else:
            self._range = edge
            context.zeros = zeros + context.step
        if self._range < _TOP:
            self._refill()
        context.total = total = total + context.step
        if total > _TOTAL_MAX:
            context.halve()
        return bit

    def raw(self, _value: int, bits: int) -> int:
        """See `Coder`."""
        value = 0
        for _left, taken, mask in _RAW[bits]:
            self._range = size = self._range >> taken
            found = self._code // size
            if found > mask:
                found = mask
            self._code -= size * found
            if size < _TOP:
                self._refill()
            value = value << taken | found
        return value

    def number(self, context: Number, _value: int) -> int:
        """See `Coder`."""
        length = self.symbol(context.length, 0)
        if length < 2:
            return length
        leading, value = context.leading[length], 1
        for _below, taken, _mask in _LEADING[length]:
            value = value << taken | self.symbol(leading[value] or context.begin(length, value, taken), 0)
        rest = _REST[length]
        return value << rest | self.raw(0, rest) if rest else value

    def near(self, context: Number, _value: int, expected: int = 0) -> int:
        """See `Coder`."""
        folded = self.number(context, 0)
        if folded == 1:
            folded = _MODULUS | 1
        found = expected - (folded >> 1) if folded & 1 else expected + (folded >> 1)
        return found if -_SIGN <= found < _SIGN else wrap(found)

    def _refill(self) -> None:
        """Take bytes until the range is large enough again."""
        size, code = self._range, self._code
        while size < _TOP:
            size <<= 8
            code = code << 8 | next(self._left, 0)
        self._range, self._code = size, code & _MASK
