"""Re-encrypt one file's cells under new keys: rows, order and every other value stay, and what is written is checked.

What decrypts a column says where its cells belong; the same place and the same mode are used with the new key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.datasets.csv_dialect import CsvOptions
from pydp_cli.datasets.formats import open_sink, open_source
from pydp_cli.datasets.interface import Source
from pydp_cli.datasets.locations import InputFile, find_inputs
from pydp_cli.errors import Refused
from pydp_cli.keys.keyring import Keyring
from pydp_cli.pipeline.cell_metadata import KEY, mark_of
from pydp_cli.pipeline.compilation import Decryption
from pydp_cli.pipeline.compile import compile_pipeline
from pydp_cli.pipeline.encrypt import cell_place
from pydp_cli.pipeline.head import read_head
from pydp_cli.pipeline.key_scan import FileKeys, may_hold_cells, scan_file
from pydp_cli.pipeline.local import run_file
from pydp_cli.pipeline.model import BoundStep, ColumnPlan, Pipeline
from pydp_cli.pipeline.physical import densify
from pydp_cli.pipeline.renewal import Renewing, is_renewable, renewed_column, renewed_index
from pydp_cli.policy.model import Policy
from pydp_cli.policy.settings import DATASET, policy_from_settings
from pydp_cli.transforms.cell_text import to_cell_text
from pydp_cli.transforms.cells import DecryptCells, ExpectNoCells, Place
from pydp_cli.transforms.reencrypt_cells import Move, ReencryptCells

Moves = Mapping[bytes, bytes]
"""Which key version's cells go under which other one, by key id."""
Scope = tuple[str, str]
"""A place where equal values have equal cells."""


@dataclass(frozen=True)
class CellFile:
    """A file whose cells are to move, and what says where they belong: the policy's dataset, else the file itself."""

    file: InputFile
    policy: Policy
    dataset: str
    adhoc: bool
    version: bytes | None = None
    """The key version of values that do not name theirs, where the file does not tell it."""

    @classmethod
    def find(cls, path: str, policy: Policy | None, dataset: str | None, version: bytes | None = None) -> CellFile:
        """Tell what a file is; without a policy, as `decrypt` does without one."""
        (file,) = find_inputs([path])
        if policy is not None and dataset is not None:
            return cls(file, policy, dataset, adhoc=False, version=version)
        own = policy_from_settings([], paths=[path], purpose="encrypt")
        return cls(file, own, next(iter(own.datasets)), adhoc=True, version=version)

    @property
    def csv_options(self) -> CsvOptions | None:
        """How the policy says that CSV is to be read."""
        return self.policy.datasets[self.dataset].csv

    def scopes(self, keyring: Keyring) -> frozenset[Scope]:
        """Name the places where equal values may have equal cells: files that share one are published together."""
        with ExitStack() as closing:
            source = open_source(self.file, csv_options=self.csv_options, closing=closing)
            _, decrypting = _decrypting(self, source, keyring)
        scopes = set()
        for plan in decrypting.plans:
            place = _place_of(plan)
            mark = mark_of(source.schema.field(plan.name)) if plan.name in source.schema.names else None
            if place is not None and (mark is None or mark.way != "random"):
                scopes.add(place.scope)
            elif place is None and plan.steps and is_renewable(plan):
                scopes.add(("", plan.name if mark is None else mark.domain or mark.options.get("domain") or plan.name))
        return frozenset(scopes)


def scopes_of_unread(file: FileKeys, policy: Policy | None, known: Iterable[Scope]) -> frozenset[Scope]:
    """Name the places that a file may share which cannot be read: what the policy says of its dataset.

    Without a policy these are all the `known` ones that other files share without one.
    """
    if policy is None or file.dataset is None:
        return frozenset(scope for scope in known if scope[0] in {DATASET, ""})
    found = set()
    for name, column in policy.datasets[file.dataset].columns.items():
        if column.encrypt is not None:
            found |= {cell_place(file.dataset, name, column.encrypt).scope, ("", column.encrypt.domain or name)}
        found |= {("", getattr(step.options, "domain", None) or name) for step in column.anonymize or ()}
    return frozenset(found)


def reencrypt_file(
    one: CellFile,
    stream: BinaryIO,
    keyring: Keyring,
    moves: Moves,
    *,
    workers: int = 1,
    on_rows: Callable[[int], None] | None = None,
) -> int:
    """Write a file to `stream` with its cells under the new keys; gives the number of rows.

    Raises `Tampered` or `WrongKey` where a cell cannot be decrypted.
    """
    with ExitStack() as closing:
        source = open_source(one.file, csv_options=one.csv_options, closing=closing)
        head, decrypting = _decrypting(one, source, keyring)
        pipeline = _reencrypting(decrypting, one, keyring, moves)
        treated = frozenset(plan.name for plan in pipeline.plans if not plan.untouched)
        form = one.file.format
        sink = open_sink(stream, form, pipeline.output_schema, like=source, like_format=form, treated=treated)
        name = one.file.relative_name
        return run_file(head, sink, pipeline, name=name, workers=workers, on_rows=on_rows).rows_in


def check_reencrypted(one: CellFile, staged: str, keyring: Keyring, moves: Moves) -> None:
    """Read what was written and what it was made of, decrypt both, and compare; raises `Refused` on any difference.

    No cell may be under an old key any more; other columns must be the same values.
    """
    new = next(iter(moves.values())) if one.version is not None else None
    after = replace(one, file=replace(one.file, path=staged), version=new)
    left = scan_file(after.file, one.dataset, one.csv_options)
    if left.failure is not None or any(left.total()[key_id] for key_id in moves):
        raise Refused("the staged file is not what it should be", place=one.file.path)
    if _contents(one, keyring) != _contents(after, keyring):
        raise Refused("the staged file does not decrypt to what the file holds", place=one.file.path)
    _check_indexes(after, keyring, moves, place=one.file.path)


def _check_indexes(one: CellFile, keyring: Keyring, moves: Moves, *, place: str) -> None:
    """Compute the blind indexes of what was written anew from its cells, and compare."""
    with ExitStack() as closing:
        source = open_source(one.file, csv_options=one.csv_options, closing=closing)
        head, decrypting = _decrypting(one, source, keyring)
        renewing = Renewing(one.policy, one.dataset, keyring, moves, one.version)
        indexes = [renewed_index(plan, decrypting, renewing, always=True) for plan in decrypting.plans]
        plans = tuple(
            plan if index is None else replace(index, output=pa.field(plan.name, pa.string()))
            for plan, index in zip(decrypting.plans, indexes, strict=True)
        )
        names = [index.name for index in indexes if index is not None]
        if not names:
            return
        outputs = pa.schema([plan.output for plan in plans if plan.output is not None])
        computing = Pipeline(decrypting.dataset, "reencrypt", decrypting.input_schema, outputs, plans)
        for chunk in head.chunks():
            for batch in chunk.read():
                made = computing.apply(batch)
                for name in names:
                    if not made.column(name).equals(densify(batch.column(name))):
                        raise Refused(f'the blind index "{name}" does not fit its column', place=place)


def _decrypting(one: CellFile, source: Source, keyring: Keyring) -> tuple[Any, Pipeline]:
    head = read_head(source)
    decryption = Decryption(sample=head.batch, adhoc=one.adhoc, version=one.version)
    pipeline = compile_pipeline(
        one.policy,
        dataset=one.dataset,
        purpose="decrypt",
        schema=source.schema,
        keyring=keyring,
        decryption=decryption,
    )
    return head, pipeline


def _reencrypting(decrypting: Pipeline, one: CellFile, keyring: Keyring, moves: Moves) -> Pipeline:
    plans = tuple(_moving(plan, decrypting, one, keyring, moves) for plan in decrypting.plans)
    outputs = [plan.output for plan in plans if plan.output is not None]
    schema = pa.schema(outputs, metadata=decrypting.input_schema.metadata)
    return Pipeline(decrypting.dataset, "reencrypt", decrypting.input_schema, schema, plans)


def _moving(plan: ColumnPlan, decrypting: Pipeline, one: CellFile, keyring: Keyring, moves: Moves) -> ColumnPlan:
    """Turn what decrypts a column into what re-encrypts it."""
    column = decrypting.input_schema.field(plan.name)
    place = _place_of(plan)
    if place is None:
        index = renewed_index(plan, decrypting, Renewing(one.policy, one.dataset, keyring, moves, one.version))
        if index is not None:
            return replace(index, output=_noted(column, moves))
        if plan.steps and is_renewable(plan):
            renewed = renewed_column(plan, column, Renewing(one.policy, one.dataset, keyring, moves, one.version))
            return (
                ColumnPlan(plan.name, plan.source, None, (), column)
                if renewed is None
                else replace(renewed, output=_noted(column, moves))
            )
        watching = plan.steps if plan.output is not None and plan.output.equals(column) else ()
        watching = tuple(step for step in watching if isinstance(step.function, ExpectNoCells))
        return ColumnPlan(plan.name, plan.source, None, watching, column)
    (step,) = plan.steps
    decrypt = step.function
    assert isinstance(decrypt, DecryptCells)
    keys: dict[bytes, Move] = {}
    for old, new in moves.items():
        if old in decrypt.keys and not _is_of_tokens(keyring, new):
            fresh = keyring.column_key("cell", *place.scope, version=new)
            keys[old] = Move((old, decrypt.keys[old]), (new, fresh.key))
    function = ReencryptCells(keys, place, decrypt.bind)
    moving = BoundStep("reencrypt", function, step.taken, step.taken)
    return ColumnPlan(plan.name, plan.source, None, (moving,), _noted(column, moves))


def _is_of_tokens(keyring: Keyring, key_id: bytes) -> bool:
    return keyring.find(key_id).name.partition("/")[0] == "token"


def _place_of(plan: ColumnPlan) -> Place | None:
    for step in plan.steps:
        if isinstance(step.function, DecryptCells):
            return step.function.place
    return None


def _noted(column: pa.Field, moves: Moves) -> pa.Field:
    """Note the new keys in the column's metadata, where the old ones are noted."""
    raw = (column.metadata or {}).get(KEY)
    if raw is None:
        return column
    whole = json.loads(raw)
    keys = []
    for key in whole.get("keys", ()):
        new = moves.get(bytes.fromhex(key["id"]))
        moved = key if new is None else {**key, "id": new.hex()}
        if moved not in keys:
            keys.append(moved)
    whole["keys"] = keys
    return column.with_metadata({**column.metadata, KEY: json.dumps(whole, sort_keys=True).encode()})


def _contents(one: CellFile, keyring: Keyring) -> tuple[int, dict[str, str]]:
    """Give the number of rows, and a digest of each column's values in order: what was encrypted, decrypted."""
    rows = 0
    digests: dict[str, Any] = {}
    with ExitStack() as closing:
        source = open_source(one.file, csv_options=one.csv_options, closing=closing)
        head, pipeline = _decrypting(one, source, keyring)
        decrypts = [plan.name for plan in pipeline.plans if _place_of(plan) is not None]
        digests = {name: (hashlib.sha256(), hashlib.sha256()) for name in pipeline.output_schema.names}
        for chunk in head.chunks():
            for batch in chunk.read():
                clear = pipeline.apply(batch)
                rows += batch.num_rows
                for name in digests:
                    _digest(clear.column(name), *digests[name], cells=name in decrypts)
    return rows, {name: f"{sizes.hexdigest()} {data.hexdigest()}" for name, (sizes, data) in digests.items()}


def _digest(column: pa.Array, sizes: Any, data: Any, *, cells: bool) -> None:
    """Add a column to a digest that does not depend on where batches begin."""
    text = pc.cast(_as_text(densify(column), cells=cells), pa.binary())
    lengths = pc.fill_null(pc.binary_length(text), -1)
    sizes.update(np.ascontiguousarray(lengths.to_numpy(zero_copy_only=False).astype("<i8")))
    present = text.drop_null() if text.null_count else text
    if len(present):
        offsets = np.frombuffer(present.buffers()[1], dtype=np.int32)[
            present.offset : present.offset + len(present) + 1
        ]
        raw = present.buffers()[2]
        if raw is not None:
            data.update(memoryview(raw)[int(offsets[0]) : int(offsets[-1])])


def _as_text(column: pa.Array, *, cells: bool) -> pa.Array:
    """Write any column as text that tells its values apart."""
    if cells:
        return to_cell_text(column)
    if may_hold_cells(column.type):
        return column
    if pa.types.is_nested(column.type) or pa.types.is_null(column.type):
        return pa.array([repr(value) for value in column.to_pylist()])
    return pc.cast(column, pa.string())
