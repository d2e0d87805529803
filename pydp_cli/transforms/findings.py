"""What is wrong with something that a user wrote: findings with their path, made from pydantic's errors.

No message repeats a value; names (of keys, transforms, options) are repeated, because they are what is misspelt.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from pydp_cli.errors import PolicyError, Problem

Path = tuple[str | int, ...]
MOST_NAMED = 12
_FINDINGS = "pydp_findings"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, at a path of keys and list positions; `at_key` points at the key, not at its value."""

    path: Path
    message: str
    hint: str | None = None
    at_key: bool = False

    def under(self, prefix: Path) -> Finding:
        """Give the finding as seen from further up."""
        return Finding((*prefix, *self.path), self.message, self.hint, self.at_key)


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Suggest the known word that is nearest to a misspelt one; where none is near and few are known, name them all."""
    names = list(known)
    folded = {name.casefold(): name for name in names}
    near = difflib.get_close_matches(word.casefold()[:100], folded, n=1, cutoff=0.6)
    if near:
        return f'did you mean "{folded[near[0]]}"?'
    return f"one of: {', '.join(names)}" if 0 < len(names) <= MOST_NAMED else None


def policy_error(findings: Sequence[Finding]) -> PolicyError:
    """Give findings that have no file as an error."""
    return PolicyError([Problem(finding.message, hint=finding.hint) for finding in findings])


def raise_in_validator(findings: list[Finding]) -> None:
    """Hand several findings out of one pydantic validator, if there are any."""
    if findings:
        raise PydanticCustomError(_FINDINGS, "several findings", {"findings": findings})


def validation_findings(error: ValidationError, model: type[BaseModel], raw: Any, subject: str = "") -> list[Finding]:
    """Translate pydantic's errors; `raw` is what was validated, `subject` names what has keys at the top."""
    by_path: dict[Path, list[Finding]] = {}
    for details in error.errors(include_url=False, include_input=False):
        for finding in _translate(details, model, raw, subject):
            by_path.setdefault((*finding.path, finding.at_key), []).append(finding)
    return [united for found in by_path.values() for united in _unite(found)]


def _translate(details: ErrorDetails, model: type[BaseModel], raw: Any, subject: str) -> list[Finding]:
    kind, context = details["type"], details.get("ctx") or {}
    path = _existing(raw, details["loc"])
    if kind == _FINDINGS:
        return [finding.under(path) for finding in context["findings"]]
    if kind == "missing":
        of = _name(path) if path else subject
        return [Finding(path, f'{of + " lacks" if of else "there is no"} "{details["loc"][-1]}"', at_key=True)]
    if kind == "extra_forbidden":
        word = str(details["loc"][-1])
        known = _keys(model, details["loc"][:-1])
        is_option = subject.startswith("transform") and len(path) == 1
        named = f'{subject} has no option "{word}"' if is_option else f'unknown key "{word}"'
        return [Finding(path, named, did_you_mean(word, known), at_key=True)]
    return [Finding(path, _sentence(_name(path) or subject, kind, context, details["msg"]))]


def _existing(raw: Any, loc: Sequence[str | int]) -> Path:
    """Cut a location to what is there: the rest is pydantic's own (members of unions, missing keys)."""
    path: list[str | int] = []
    for part in loc:
        try:
            raw = raw[part]
        except (KeyError, IndexError, TypeError):
            break
        path.append(part)
    return tuple(path)


def _name(path: Path) -> str:
    for part in reversed(path):
        if isinstance(part, str):
            return f'"{part}"'
    return ""


def _keys(model: type[BaseModel], loc: Sequence[str | int]) -> list[str]:
    """Name the keys that are allowed at a location of a model."""
    kind: Any = model
    for part in loc:
        kind = _step(kind, part)
    found = next((option for option in _options(kind) if _is_model(option)), None)
    return [] if found is None else [field.alias or name for name, field in found.model_fields.items()]


def _step(kind: Any, part: str | int) -> Any:
    for option in _options(kind):
        if _is_model(option):
            fields = {field.alias or name: field for name, field in option.model_fields.items()}
            if part in fields:
                return fields[str(part)].annotation
        elif get_origin(option) is dict and len(get_args(option)) == 2:
            return get_args(option)[1]
        elif get_origin(option) in (list, tuple) and isinstance(part, int) and get_args(option):
            return get_args(option)[0]
    return None


def _options(kind: Any) -> list[Any]:
    if get_origin(kind) is Annotated:
        return _options(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return [option for member in get_args(kind) for option in _options(member)]
    return [kind]


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


_WHOLE, _NUMBER, _TRUTH, _TEXT = "a whole number", "a number", "true or false", "text"
_KINDS = {
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "int_parsing_size": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": _NUMBER,
    "decimal_type": _NUMBER,
    "decimal_parsing": _NUMBER,
    "bool_type": _TRUTH,
    "bool_parsing": _TRUTH,
    "string_type": _TEXT,
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "mapping_type": "a mapping",
    "list_type": "a list",
    "tuple_type": "a list",
    "date_type": "a date like YYYY-MM-DD",
    "date_parsing": "a date like YYYY-MM-DD",
    "date_from_datetime_parsing": "a date like YYYY-MM-DD",
    "date_from_datetime_inexact": "a date like YYYY-MM-DD",
    "datetime_type": "a time like YYYY-MM-DDThh:mm:ss",
    "datetime_parsing": "a time like YYYY-MM-DDThh:mm:ss",
    "datetime_from_date_parsing": "a time like YYYY-MM-DDThh:mm:ss",
}
_LIMITS = {
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
}


def _sentence(name: str, kind: str, context: dict[str, Any], message: str) -> str:  # noqa: PLR0911 - a table in prose
    if kind in ("value_error", "assertion_error"):
        told = str(context.get("error", message))
        return f"{name} {told}" if told.startswith(("must ", "is ")) else told
    if kind in ("literal_error", "enum"):
        return f"{name} must be one of: {str(context['expected']).replace(' or ', ', ').replace(chr(39), '')}"
    if kind in _KINDS:
        return f"{name} must be {_KINDS[kind]}"
    if kind in _LIMITS:
        return f"{name} must be {_LIMITS[kind].format(**context)}"
    if kind == "string_too_short" and context["min_length"] == 1:
        return f"{name} must not be empty"
    if kind in ("string_too_short", "too_short"):
        return f"{name} must have at least {context['min_length']} {_unit(kind)}"
    if kind in ("string_too_long", "too_long"):
        return f"{name} must have at most {context['max_length']} {_unit(kind)}"
    if kind == "string_pattern_mismatch":
        return f"{name} must match {context['pattern']}"
    return f"{name}: {message[:1].lower()}{message[1:].rstrip('.')}"


def _unit(kind: str) -> str:
    return "characters" if kind.startswith("string") else "items"


def _unite(found: list[Finding]) -> list[Finding]:
    """Make one finding of what pydantic says of each member of a union."""
    wanted = [finding.message.partition(" must be ") for finding in found]
    if len(found) > 1 and all(separator for _, separator, _ in wanted):
        kinds = list(dict.fromkeys(kind for _, _, kind in wanted))
        message = f"{wanted[0][0]} must be {', '.join(kinds[:-1])} or {kinds[-1]}" if kinds[1:] else found[0].message
        return [Finding(found[0].path, message, found[0].hint, found[0].at_key)]
    return list(dict.fromkeys(found))
