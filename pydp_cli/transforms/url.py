"""Strip URLs of what names people and sessions: query, fragment, user and, unless it is kept, path."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from pydp_cli.transforms.invalid import OnInvalid, settle
from pydp_cli.transforms.registry import TransformOptions, transform
from pydp_cli.transforms.types import TEXT

_SCHEME = r"([A-Za-z][A-Za-z0-9+.-]*://)"
_USER = r"(?:[^/?#\\\s]*@)?"
_HOST = r"([^/?#@:\[\]\\\s]+|\[[0-9A-Fa-f:.]+\])"
_PORT = r"((?::[0-9]*)?)"
_PATH = r"((?:/[^?#]*)?)"
_URL = rf"^{_SCHEME}{_USER}{_HOST}{_PORT}{_PATH}(?:[?#](?s:.*))?$"


@transform("url", takes=TEXT, reversible=False, leaks="the scheme, the host and the port", main_option="keep_path")
class Url(TransformOptions):
    """Keep scheme and host: `page: url` makes `https://example.com` of `https://bob:pw@example.com/u/bob?id=7#top`.

    User name and password, query and fragment always go; the path goes unless `keep_path` is set. Null stays null. Only
    absolute URLs with `//` are taken: a bare `example.com/u/bob` might as well be something else. A host such as
    `bob.example.com` can name a person.
    """

    keep_path: Annotated[bool, Field(description="Whether the path is kept; it often holds names and numbers.")] = False
    on_invalid: OnInvalid = "redact"

    def leak(self) -> str:
        """Say whether the path is kept."""
        return "the scheme, the host, the port and the path" if self.keep_path else self.info.leaks

    def makes_null(self) -> bool:
        """Say whether an invalid URL becomes null."""
        return self.on_invalid == "null"

    def apply(self, column: pa.StringArray) -> pa.StringArray:
        """Match and rewrite by one pattern."""
        urls = pc.if_else(pc.match_substring_regex(column, _URL), column, pa.scalar(None, pa.string()))
        kept = r"\1\2\3\4" if self.keep_path else r"\1\2\3"
        return settle(column, pc.replace_substring_regex(urls, _URL, kept), self.on_invalid, "an absolute URL")
