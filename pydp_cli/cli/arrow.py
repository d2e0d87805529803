"""Import pyarrow without pandas, which it would import on first use for a fifth of a second that we do not need."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec


class _WithoutPandas:
    """An import finder by which pandas cannot be found."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        """Refuse pandas, and leave every other module to the finders that come after."""
        del path, target
        if name == "pandas":
            raise ModuleNotFoundError(name)
        return None


def load_arrow() -> None:
    """Let pyarrow look for pandas once, in vain. Where it needs pandas later (`to_pandas`), it looks again."""
    if "pyarrow" in sys.modules or "pandas" in sys.modules:
        return
    finder = _WithoutPandas()
    sys.meta_path.insert(0, finder)
    try:
        import pyarrow as pa

        pa.array([0])
    finally:
        sys.meta_path.remove(finder)
