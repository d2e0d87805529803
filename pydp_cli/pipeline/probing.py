"""Find the rows of an encrypted column that may hold some values, by what those look like there, without decrypting it.

A probe misses what was written under another key version, with other padding or before the policy changed. So a batch
is taken to be probed rightly only where every cell is under a version that was probed, and where cells of a sample,
decrypted, give the probes that stand in their rows. Else it has to be decrypted whole.
"""

from __future__ import annotations

import base64
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.errors import BadValue, KeyringError, UsageError, WrongKey
from pydp_cli.keys.keyring import Keyring
from pydp_cli.pipeline.cell_metadata import Mark, mark_of
from pydp_cli.pipeline.encrypt import index_name
from pydp_cli.pipeline.lookup import ProbeFunction, probe_functions
from pydp_cli.pipeline.physical import densify, take_rows
from pydp_cli.policy.column_types import dense_type
from pydp_cli.policy.encryption import EncryptSpec
from pydp_cli.policy.model import Policy
from pydp_cli.transforms.cells import count_by_key
from pydp_cli.transforms.types import is_text

SAMPLED_ROWS = 16
MOST_TRIED = 1000
_WHOLE = r"^(0|-?[1-9][0-9]{0,17})$"


@dataclass(frozen=True)
class Probed:
    """A column of cells or of format-preserved values, where its probes are, and the probes of what is looked for."""

    column: str
    held_in: str
    functions: tuple[ProbeFunction, ...]
    probes: pa.Array = field(repr=False)
    are_cells: bool

    def may_hold(self, batch: pa.RecordBatch) -> pa.BooleanArray | None:
        """Tell which rows may hold what is looked for; None where there are cells that were not probed for."""
        if self.are_cells:
            cells = densify(batch.column(self.column))
            counts = count_by_key(cells)
            present = len(cells) - cells.null_count
            if sum(counts.values()) != present or set(counts) - {one.key_id for one in self.functions}:
                return None
        held = densify(batch.column(self.held_in))
        return pc.is_in(held, value_set=self.probes.cast(held.type))

    def agrees(self, sample: pa.RecordBatch, texts: pa.StringArray) -> bool:
        """Tell whether rows, of which `texts` are the decrypted values, hold the probes of those."""
        held = densify(sample.column(self.held_in))
        right = pa.array(np.zeros(len(texts), np.bool_))
        for one in self.functions:
            try:
                made = _stored(one.make(texts), held.type)
            except BadValue:
                return False
            right = pc.or_(right, pc.equal(made, held).fill_null(False))
        return bool(pc.all(pc.or_(right, pc.is_null(texts))).as_py() is not False)


@dataclass(frozen=True)
class ProbedFile:
    """A file of a dataset that may be searched by probes."""

    policy: Policy
    dataset: str
    schema: pa.Schema
    keyring: Keyring

    def probed(self, column: str, values: pa.StringArray, *, exact: bool) -> Probed | None:
        """Make the probes of values in an encrypted column; None where it has to be decrypted to be searched.

        `exact` says that values compare as they are stored; others are found by a blind index, which is normalised.
        """
        treated = self.policy.datasets[self.dataset].columns.get(column)
        if treated is None or treated.encrypt is None or treated.encrypt.per_subject:
            return None
        spec, mark = treated.encrypt, mark_of(self.schema.field(column))
        kind = treated.type or (dense_type(mark.before.type) if mark is not None else pa.string())
        if pa.types.is_integer(kind):
            values = values.filter(pc.match_substring_regex(values, _WHOLE))
        if not (pa.types.is_integer(kind) or is_text(kind)) or not self._is_searchable(column, spec, mark, exact=exact):
            return None
        try:
            made = probe_functions(self.policy, self.dataset, column, self.keyring)
            functions = tuple(one for one in made if spec.fpe is None or _is_under(mark, one.key_id))
            held_in = self.schema.field(made[0].column).type
            probes = [_stored(_made(one, values), dense_type(held_in)) for one in functions]
        except (BadValue, KeyringError, UsageError, WrongKey):  # whoever decrypts the column tells what is wrong
            return None
        return Probed(column, made[0].column, functions, pa.concat_arrays(probes), spec.fpe is None) if probes else None

    def _is_searchable(self, column: str, spec: EncryptSpec, mark: Mark | None, *, exact: bool) -> bool:
        """Tell whether a column holds what the policy says, and that can be probed for."""
        way = "fpe" if spec.fpe is not None else spec.mode
        if mark is not None:
            told = (mark.dataset, mark.way, mark.domain, tuple(mark.bind))
            if told != (self.dataset, way, spec.domain, tuple(spec.bind)):
                return False
        if spec.fpe is not None and mark is None:  # format-preserved values do not show under which version they are
            return False
        if spec.blind_index is not None:
            return index_name(column) in self.schema.names
        return exact and way != "random" and not spec.bind


def _is_under(mark: Mark | None, key_id: bytes) -> bool:
    return mark is not None and key_id.hex() in {key.key_id for key in mark.keys}


def sampled(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Take a few rows from all over a batch."""
    rows = pa.array(np.unique(np.linspace(0, batch.num_rows - 1, SAMPLED_ROWS).astype(np.int64)))
    return pa.record_batch([take_rows(column, rows) for column in batch.columns], batch.schema.names)


def _made(function: ProbeFunction, values: pa.StringArray) -> pa.StringArray:
    """Make probes; values that the column cannot hold, such as numbers too short for their format, have none."""
    try:
        return function.make(values)
    except BadValue:
        if len(values) > MOST_TRIED:
            raise
    made = []
    for value in values:
        with suppress(BadValue):
            made.append(function.make(pa.array([value]))[0].as_py())
    return pa.array(made, pa.string())


def _stored(probes: pa.StringArray, kind: pa.DataType) -> pa.Array:
    """Give probes as a column stores them: cells are in base64 in text columns only."""
    if is_text(kind):
        return probes.cast(kind)
    raw = [None if text is None else base64.b64decode(text) for text in probes.to_pylist()]
    return pa.array(raw, pa.binary()).cast(kind)
