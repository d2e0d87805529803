"""A policy from the command line (`--set`, `--drop`, `--keep`), and a policy written out as YAML."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from pydp_cli.errors import UsageError
from pydp_cli.policy.encryption import EncryptSpec, FpeSpec
from pydp_cli.policy.model import Policy
from pydp_cli.transforms.findings import did_you_mean, validation_findings
from pydp_cli.transforms.scalars import plain_scalar
from pydp_cli.transforms.treatment import parse_setting, setting_options, split_setting, to_yaml

DATASET = "input"
"""The name of the dataset that a policy from the command line has."""


def policy_from_settings(
    settings: Sequence[str],
    *,
    drop: Iterable[str] = (),
    keep: Iterable[str] = (),
    other_columns: str | None = None,
    paths: Sequence[str] = ("-",),
    purpose: Literal["anonymize", "encrypt"] = "anonymize",
) -> Policy:
    """Make the policy that the options of a command stand for; raises `UsageError`.

    For `encrypt`, settings are `COLUMN=random|deterministic|fpe[:OPTION=VALUE,…]`, and columns not named are kept.
    Several settings of one column are its steps, in their order.
    """
    columns: dict[str, Any] = {}
    for text in settings:
        if purpose == "encrypt":
            column, raw = _encryption(text)
            if column in columns:
                raise UsageError("the column is set twice", place=f"--set {column}")
            columns[column] = {"encrypt": raw}
        else:
            column, step = parse_setting(text)
            columns.setdefault(column, []).append(to_yaml(step))
    columns = {column: raw[0] if isinstance(raw, list) and len(raw) == 1 else raw for column, raw in columns.items()}
    for word, names in (("drop", drop), ("keep", keep)):
        for column in names:
            if column in columns:
                raise UsageError(f'column "{column}" is named twice', place=f"--{word}")
            columns[column] = word
    rest = other_columns or ("keep" if purpose == "encrypt" else "error")
    if rest not in ("error", "drop", "keep"):
        raise UsageError(
            "--other-columns is one of: error, drop, keep", hint=did_you_mean(rest, ("error", "drop", "keep"))
        )
    dataset = {"other_columns": rest, "columns": columns}
    if len(paths) == 1:
        dataset = {"path": paths[0], **dataset}
    data = {"version": 1, "datasets": {DATASET: dataset}}
    try:
        return Policy.model_validate(data).located(Path(), None)
    except ValidationError as error:
        finding = validation_findings(error, Policy, data)[0]
        raise UsageError(finding.message, hint=finding.hint) from None


def _encryption(text: str) -> tuple[str, Any]:
    column, mode, options = split_setting(text)
    modes = ("random", "deterministic", "fpe")
    if mode not in modes:
        hint = did_you_mean(mode, modes)
        raise UsageError(f'there is no way "{mode}" to encrypt', place=f"--set {column}", hint=hint)
    if mode == "fpe":
        given = setting_options(column, mode, options, known=FpeSpec.model_fields, main="alphabet")
        inner = {key: value for key, value in given.items() if key in FpeSpec.model_fields}
        outer = {key: value for key, value in given.items() if key not in FpeSpec.model_fields}
        raw: dict[str, Any] = {"fpe": inner, **outer}
    else:
        raw = {"mode": mode, **setting_options(column, mode, options, known=EncryptSpec.model_fields, main="bind")}
    try:
        EncryptSpec.model_validate(raw)
    except ValidationError as error:
        finding = validation_findings(error, EncryptSpec, raw, "encrypt")[0]
        raise UsageError(finding.message, place=f"--set {column}", hint=finding.hint) from None
    return column, raw


def policy_to_yaml(policy: Policy) -> str:
    """Write a policy as YAML that loads as the same policy."""
    return to_text(policy.to_data())


def to_text(data: Any) -> str:
    """Write plain data as YAML, quoting every text that a reader could take for something else."""
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap, CommentedSeq
    from ruamel.yaml.representer import RoundTripRepresenter
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    def styled(value: Any, depth: int) -> Any:
        if isinstance(value, dict):
            mapping = CommentedMap(
                (styled(str(key), depth + 1), styled(item, depth + 1)) for key, item in value.items()
            )
            if depth > 3 and value:
                mapping.fa.set_flow_style()
            return mapping
        if isinstance(value, list):
            items = CommentedSeq(styled(item, depth + 1) for item in value)
            items.fa.set_flow_style()
            return items
        if isinstance(value, str) and not is_plain(value):
            return DoubleQuotedScalarString(value)
        return value

    class Representer(RoundTripRepresenter):
        """Writes null out, where ruamel leaves nothing."""

    Representer.add_representer(
        type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    yaml = YAML()
    yaml.Representer = Representer
    yaml.width = 4096
    yaml.allow_unicode = True
    stream = io.StringIO()
    yaml.dump(styled(data, 0), stream)
    return stream.getvalue()


def is_plain(text: str) -> bool:
    """Tell whether a text can be written without quotes, in any style, and read back by this and other readers."""
    if not text or text != text.strip() or plain_scalar(text) is None or not isinstance(plain_scalar(text), str):
        return text == "null"
    safe = all(character.isalnum() or character in "_-./*@%+ " for character in text)
    return (
        safe
        and (text[0].isalpha() or text[0] in "_./")
        and text.lower() not in ("yes", "no", "on", "off", "y", "n", "true", "false", "null")
        and text.isascii()
    )
