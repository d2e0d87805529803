"""pydp: encrypts, anonymizes and summarises CSV and Parquet data from one reviewed policy.

The command line is a thin layer over this API:

    import pydp_cli as pydp
    policy = pydp.load_policy("pydp.yml")
    pipeline = pydp.compile(policy, dataset="customers", purpose="anonymize", schema=schema, keyring=keyring)
    pipeline.apply(batch)  # RecordBatch -> RecordBatch, pure, picklable

Names are imported when they are first used, so that `import pydp_cli` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydp_cli.errors import PolicyError, PydpError
    from pydp_cli.keys.keyring import Keyring, create_keyring, open_keyring
    from pydp_cli.keys.unlock import Unlock
    from pydp_cli.pipeline.compile import compile_pipeline as compile  # noqa: A004 - the API's name for it
    from pydp_cli.pipeline.model import Pipeline
    from pydp_cli.policy.loader import load_policy
    from pydp_cli.policy.model import Policy
    from pydp_cli.transforms.registry import TransformOptions, transform

__all__ = [
    "Keyring",
    "Pipeline",
    "Policy",
    "PolicyError",
    "PydpError",
    "TransformOptions",
    "Unlock",
    "compile",
    "create_keyring",
    "load_policy",
    "open_keyring",
    "transform",
]

_HOMES = {
    "Keyring": "pydp_cli.keys.keyring",
    "Pipeline": "pydp_cli.pipeline.model",
    "Policy": "pydp_cli.policy.model",
    "PolicyError": "pydp_cli.errors",
    "PydpError": "pydp_cli.errors",
    "TransformOptions": "pydp_cli.transforms.registry",
    "Unlock": "pydp_cli.keys.unlock",
    "compile": "pydp_cli.pipeline.compile:compile_pipeline",
    "create_keyring": "pydp_cli.keys.keyring",
    "load_policy": "pydp_cli.policy.loader",
    "open_keyring": "pydp_cli.keys.keyring",
    "transform": "pydp_cli.transforms.registry",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its home."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    return getattr(import_module(module), attribute or name)
