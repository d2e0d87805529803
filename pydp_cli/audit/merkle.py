"""The Merkle tree over the log's lines, and proofs that a line is in it (RFC 6962, section 2.1)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

HASH_BYTES = 32


def leaf_hash(line: bytes) -> bytes:
    """Hash one line; leaves and inner nodes are told apart by a first byte, so that none can pass for the other."""
    return hashlib.sha256(b"\x00" + line).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Give the root over leaf hashes."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    level = list(leaves)
    while len(level) > 1:  # an odd node at the end moves up as it is: the same tree as RFC 6962's recursion
        paired = [node_hash(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
        level = paired + level[len(level) - len(level) % 2 :]
    return level[0]


def largest_power_below(size: int) -> int:
    """Give the largest power of two that is less than `size`."""
    return 1 << (size - 1).bit_length() - 1


@dataclass(frozen=True)
class Tree:
    """The tree of a log in segments of equal size, a power of two; a sealed segment needs its root only."""

    segment_size: int
    sealed_root: Callable[[int], bytes | None]
    leaves: Callable[[int], Sequence[bytes]]

    def root(self, size: int) -> bytes:
        """Give the root over the first `size` lines."""
        return self._hash(0, size) if size else root_of(())

    def proof(self, index: int, size: int) -> list[bytes]:
        """Give the hashes that, with a line's own, make the root: from the line's sibling up."""
        return self._path(index, 0, size)

    def _hash(self, start: int, end: int) -> bytes:
        number, offset = divmod(start, self.segment_size)
        if end - start == self.segment_size and not offset:
            sealed = self.sealed_root(number)
            if sealed is not None:
                return sealed
        if offset + end - start <= self.segment_size:
            return root_of(self.leaves(number)[offset : offset + end - start])
        middle = start + largest_power_below(end - start)
        return node_hash(self._hash(start, middle), self._hash(middle, end))

    def _path(self, index: int, start: int, end: int) -> list[bytes]:
        if end - start == 1:
            return []
        middle = start + largest_power_below(end - start)
        if index < middle:
            return [*self._path(index, start, middle), self._hash(middle, end)]
        return [*self._path(index, middle, end), self._hash(start, middle)]


def root_by_proof(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes | None:
    """Give the root that a proof leads to (RFC 9162, section 2.1.3.2); None where it is not for that index and size."""
    if not 0 <= index < size:
        return None
    node, last, current = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return None
        if node & 1 or node == last:
            current = node_hash(sibling, current)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            current = node_hash(current, sibling)
        node >>= 1
        last >>= 1
    return current if last == 0 else None
