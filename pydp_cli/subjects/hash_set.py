"""A set of keyed hashes that whole columns are looked up in: sorted once, and searched without copying it again."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Words = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class HashSet:
    """Hashes of 16 bytes. The first 8 are searched for, the others compared; picklable, and of 16 bytes a hash."""

    first: Words = field(repr=False)
    second: Words = field(repr=False)
    unique: bool = True

    @classmethod
    def of(cls, hashes: pa.FixedSizeBinaryArray | None) -> HashSet:
        """Sort hashes; nulls are left out."""
        if hashes is None:
            return cls(np.empty(0, np.uint64), np.empty(0, np.uint64))
        words = _words(hashes.drop_null())
        order = np.lexsort((words[:, 1], words[:, 0]))
        first, second = words[order, 0], words[order, 1]
        keep = np.ones(len(first), bool)
        keep[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
        first, second = first[keep], second[keep]
        return cls(first, second, unique=not bool(np.any(first[1:] == first[:-1])))

    def __len__(self) -> int:
        return len(self.first)

    def contains(self, hashes: pa.FixedSizeBinaryArray) -> npt.NDArray[np.bool_]:
        """Tell for each row whether its hash is in the set; null is not."""
        if not len(self.first):
            return np.zeros(len(hashes), bool)
        words = _words(hashes)
        if self.unique:
            at = np.minimum(np.searchsorted(self.first, words[:, 0]), len(self.first) - 1)
            found: npt.NDArray[np.bool_] = (self.first[at] == words[:, 0]) & (self.second[at] == words[:, 1])
        else:  # two hashes share 8 bytes, which chance does not bring about
            mine = np.ascontiguousarray(np.stack([self.first, self.second], axis=1)).view("V16").ravel()
            found = np.isin(np.ascontiguousarray(words).view("V16").ravel(), mine)
        if hashes.null_count:
            found &= pc.is_valid(hashes).to_numpy(zero_copy_only=False)
        return found


def _words(hashes: pa.FixedSizeBinaryArray) -> npt.NDArray[np.uint64]:
    """Give hashes as two words each, without copying them."""
    data = hashes.buffers()[1]
    if data is None or not len(hashes):
        return np.zeros((len(hashes), 2), np.uint64)
    return np.frombuffer(data, np.uint64).reshape(-1, 2)[hashes.offset : hashes.offset + len(hashes)]
