"""Plan to bring what does not name its key under another version: format-preserving encryption, tokens, blind indexes.

The key version is noted in a Parquet column's metadata; in CSV nothing tells it, and whoever asks must. A blind index
is computed anew from the column that it is of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from pydp_cli.errors import UsageError
from pydp_cli.keys.keyring import Keyring
from pydp_cli.pipeline.cell_metadata import Mark, mark_of
from pydp_cli.pipeline.compilation import KeySource
from pydp_cli.pipeline.decrypt import can_be_undone, noted_transform
from pydp_cli.pipeline.encrypt import blind_index, cell_place, index_name, key_version, preserve_format
from pydp_cli.pipeline.model import BoundStep, ColumnPlan, Pipeline
from pydp_cli.policy.column_types import dense_type
from pydp_cli.policy.encryption import EncryptSpec
from pydp_cli.policy.model import Policy
from pydp_cli.transforms.cells import Place
from pydp_cli.transforms.fpe import PreserveFormat
from pydp_cli.transforms.registry import Binding, TransformOptions
from pydp_cli.transforms.renew import Renew
from pydp_cli.transforms.token import Tokenize


@dataclass(frozen=True)
class Renewing:
    """What renewing needs to know: where the columns belong, and which versions move where."""

    policy: Policy
    dataset: str
    keyring: Keyring
    moves: Mapping[bytes, bytes]
    version: bytes | None = None

    def spec(self, column: str) -> EncryptSpec | None:
        """Give what the policy says of a column's encryption."""
        treated = self.policy.datasets[self.dataset].columns.get(column)
        return None if treated is None else treated.encrypt

    def new_version(self, mark: Mark | None) -> bytes | None:
        """Give the version that a column's values move to; None where they stay."""
        old = bytes.fromhex(mark.keys[0].key_id) if mark is not None and mark.keys else self.version
        return None if old is None else self.moves.get(old)


def is_renewable(plan: ColumnPlan) -> bool:
    """Tell whether a plan undoes format-preserving encryption or tokens."""
    return any(isinstance(step.function, (PreserveFormat, Tokenize)) for step in plan.steps)


def renewed_column(plan: ColumnPlan, column: pa.Field, renewing: Renewing) -> ColumnPlan | None:
    """Undo a column and make it anew under the new version; None where it is not under a version that moves."""
    (undo,) = plan.steps
    mark = mark_of(column)
    new = renewing.new_version(mark)
    if new is None:
        return None
    keys = KeySource(renewing.keyring, version=new)
    redo: PreserveFormat | Tokenize
    if isinstance(undo.function, PreserveFormat):
        redo = preserve_format(keys, _place(column.name, mark, renewing), undo.function.shape)
    else:
        redo = _tokens(column, mark, renewing, keys, undo.given)
    step = BoundStep("renew", Renew(undo.function, redo), undo.taken, undo.taken)
    return ColumnPlan(plan.name, plan.source, plan.declared, (step,), column, tuple(keys.uses))


def renewed_index(
    plan: ColumnPlan, decrypting: Pipeline, renewing: Renewing, *, always: bool = False
) -> ColumnPlan | None:
    """Compute a blind index anew; None where the column is none, or its key does not move (unless `always`).

    Raises `UsageError` where no policy says how long it is.
    """
    column = decrypting.input_schema.field(plan.name)
    mark = mark_of(column)
    if mark is not None and mark.way != "blind_index":
        return None
    of = _indexed_column(plan, mark, decrypting, renewing)
    if of is None:
        return None
    moving = mark is None or renewing.new_version(mark) is not None
    if not moving and not always:
        return None
    spec = renewing.spec(of)
    if spec is None or spec.blind_index is None:
        raise UsageError(
            "only a policy says how long a blind index is",
            place=f'column "{plan.name}"',
            hint="name the policy with -p",
        )
    main = decrypting.plan(of)
    version = _index_version(mark, spec, renewing)
    index = blind_index(renewing.policy, renewing.dataset, of, spec, KeySource(renewing.keyring, version=version))
    taken = main.steps[-1].given if main.steps else dense_type(main.source)
    steps = (*main.steps, BoundStep("blind index", index, taken, pa.string()))
    return ColumnPlan(plan.name, main.source, main.declared, steps, column, made_from=of)


def _indexed_column(plan: ColumnPlan, mark: Mark | None, decrypting: Pipeline, renewing: Renewing) -> str | None:
    if mark is not None:
        return mark.of if mark.of in decrypting.input_schema.names else None
    for other in decrypting.plans:
        spec = renewing.spec(other.name)
        if spec is not None and spec.blind_index is not None and index_name(other.name) == plan.name:
            return other.name
    return None


def _index_version(mark: Mark | None, spec: EncryptSpec, renewing: Renewing) -> bytes | None:
    """Give the version that an index is to be under: that of its key which is primary, in a file that tells none."""
    moved = renewing.new_version(mark) if mark is not None else None
    noted = bytes.fromhex(mark.keys[0].key_id) if mark is not None and mark.keys else None
    return moved or noted or key_version(renewing.keyring, spec.key)


def _place(column: str, mark: Mark | None, renewing: Renewing) -> Place:
    if mark is not None:
        return Place(mark.dataset, column, mark.domain, mark.bind)
    spec = renewing.spec(column)
    assert spec is not None
    return cell_place(renewing.dataset, column, spec)


def _tokens(column: pa.Field, mark: Mark | None, renewing: Renewing, keys: KeySource, was: pa.DataType) -> Tokenize:
    release: str | None
    if mark is not None:
        options, release = noted_transform(column, mark), mark.options.get("release")
    else:
        options, release = _policy_token(column.name, renewing), renewing.policy.datasets[renewing.dataset].release
        release = release or renewing.policy.release
    bound = options.bind(Binding(renewing.dataset, column.name, was, keys, release=release))
    assert isinstance(bound, Tokenize)
    return bound


def _policy_token(column: str, renewing: Renewing) -> TransformOptions:
    treated = renewing.policy.datasets[renewing.dataset].columns[column]
    (step,) = treated.anonymize or ()
    assert can_be_undone(step)
    return step.options
