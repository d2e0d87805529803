"""Treat a column with a user's own Python function over a pandas Series."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pyarrow as pa
from pydantic import Field

from pydp_cli.errors import InputError, UsageError
from pydp_cli.transforms.registry import Binding, Rows, TransformOptions, transform
from pydp_cli.transforms.types import ANY

if TYPE_CHECKING:
    import pandas as pd

_TYPES: dict[str, pa.DataType] = {
    "text": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
}


@transform("python", takes=ANY, reversible=False, leaks="whatever the function leaves", main_option="function")
class PythonFunction(TransformOptions):
    """Call your own function: `plate: {python: "fleet.privacy:shorten_plates"}`.

    The function is given a pandas Series (of Arrow-backed types, null as `pd.NA`) for each batch of rows, and returns
    as many values in the same order; they must be of the column's type, or of the one that `returns` names. Each
    value may depend on nothing but the value in its row: how rows are cut into batches is not settled. Null is passed
    to the function too. The module is imported from what is installed, or with `from_policy_dir: true` from the
    policy's folder as well: who can write there can then run code as you. What the function raises ends the run; its
    message is not shown, because it may quote a value.
    """

    function: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$",
            description="The function, as `package.module:function`.",
        ),
    ]
    returns: Annotated[
        Literal["same", "text", "integer", "number", "boolean", "date", "timestamp"],
        Field(description="The type that comes out."),
    ] = "same"
    from_policy_dir: Annotated[
        bool, Field(description="Whether the module may be in the folder of the policy, after what is installed.")
    ] = False

    def gives(self, taken: pa.DataType) -> pa.DataType:
        """Give the declared type."""
        return taken if self.returns == "same" else _TYPES[self.returns]

    def makes_null(self) -> bool:
        """Say that a function may return null."""
        return True

    def bind(self, binding: Binding) -> Call:
        """Import the module, so that a mistake shows before a row is read."""
        folder = binding.base_dir.resolve() if self.from_policy_dir else None
        load_function(self.function, folder)
        return Call(self.function, folder, self.gives(binding.taken))


@dataclass(frozen=True)
class Call:
    """A function by name, so that it can be sent to a worker and found again there."""

    function: str
    folder: Path | None
    given: pa.DataType

    def __call__(self, column: pa.Array, rows: Rows | None = None) -> pa.Array:
        """Call the function with the whole column, and check what comes back."""
        del rows
        import pandas as pd

        series = column.to_pandas(types_mapper=pd.ArrowDtype)
        treated = self._called(load_function(self.function, self.folder), series)
        if not pd.api.types.is_list_like(treated) or len(treated) != len(column):
            found = f"{len(treated)} values" if pd.api.types.is_list_like(treated) else "no column"
            raise UsageError(f'function "{self.function}" gave {found} for {len(column)} rows')
        try:
            return _one_chunk(pa.Array.from_pandas(treated, type=self.given))
        except (ValueError, TypeError, OverflowError, NotImplementedError):  # Arrow's are kinds of these
            pass  # the message quotes the value
        raise UsageError(
            f'function "{self.function}" gave values that are not {self.given}', hint="declare the type with `returns`"
        )

    def _called(self, function: Callable[[pd.Series[Any]], Any], series: pd.Series[Any]) -> Any:
        try:
            return function(series)
        except Exception as error:  # noqa: BLE001 - any error of the user's code, and its message may quote a value
            raised = _without_message(error)
        raise UsageError(f'function "{self.function}" raised {raised}')


@cache
def load_function(name: str, folder: Path | None) -> Callable[[Any], Any]:
    """Import `package.module:function`; `folder` is searched after everything that is installed.

    Raises `InputError` where there is no such module or function.
    """
    module_name, _, function_name = name.partition(":")
    try:
        module = _imported(module_name, folder)
    except ImportError as error:
        raise InputError(
            f'cannot import module "{module_name}": {error.msg}',
            hint="install it where pydp runs, or set `from_policy_dir: true`",
        ) from None
    except Exception as error:  # noqa: BLE001 - any error of the user's module
        raise InputError(f'module "{module_name}" raised {_without_message(error)} when imported') from None
    function = getattr(module, function_name, None)
    if not callable(function):
        raise InputError(f'module "{module_name}" has no function "{function_name}"')
    found: Callable[[Any], Any] = function
    return found


def _imported(name: str, folder: Path | None) -> Any:
    if folder is None:
        return importlib.import_module(name)
    sys.path.append(str(folder))  # last, so that it can shadow nothing
    try:
        importlib.invalidate_caches()
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(folder))


def _without_message(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} at {Path(frames[-1].filename).name}:{frames[-1].lineno}"


def _one_chunk(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
