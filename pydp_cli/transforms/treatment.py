"""The treatment of a column as users write it: steps read from YAML and from `--set`, and written back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any

from pydantic import ValidationError

from pydp_cli.errors import UsageError
from pydp_cli.transforms.findings import Finding, Path, did_you_mean, policy_error, validation_findings
from pydp_cli.transforms.registry import TransformOptions, find_transform, transforms
from pydp_cli.transforms.scalars import flow_value, split_outside

WHEN = "when"


@dataclass(frozen=True)
class StepSpec:
    """One step of a treatment: a transform with its options, and the condition on the rows that it treats."""

    name: str
    options: TransformOptions
    when: str | None = None


def parse_step(raw: Any) -> StepSpec:
    """Read one step: `redact`, `{prefix: 3}`, `{mask: {keep_last: 4}, when: country == "DE"}`.

    Raises `PolicyError` with every problem.
    """
    findings: list[Finding] = []
    step = read_step(raw, (), findings)
    if step is None or findings:
        raise policy_error(findings)
    return step


def parse_treatment(raw: Any) -> tuple[StepSpec, ...]:
    """Read one step or a list of them; raises `PolicyError` with every problem."""
    findings: list[Finding] = []
    steps = read_treatment(raw, findings)
    if findings:
        raise policy_error(findings)
    return steps


def read_treatment(raw: Any, findings: list[Finding]) -> tuple[StepSpec, ...]:
    """Read one step or a list of them, and add what is wrong to `findings`."""
    if not isinstance(raw, (list, tuple)):
        steps = [read_step(raw, (), findings)]
    else:
        if not raw:
            findings.append(Finding((), "a treatment has at least one step", "write `keep` to leave a column as it is"))
        steps = [read_step(step, (place,), findings) for place, step in enumerate(raw)]
    return tuple(step for step in steps if step is not None)


def read_step(raw: Any, path: Path, findings: list[Finding]) -> StepSpec | None:
    """Read one step at a path, and add what is wrong to `findings`."""
    if isinstance(raw, StepSpec):
        return raw
    if raw is None or isinstance(raw, str):
        return _build("null" if raw is None else raw, {}, None, path, path, findings)
    if not isinstance(raw, Mapping):
        findings.append(Finding(path, "a step is the name of a transform, or a mapping from it to its options"))
        return None
    named = [key for key in raw if key != WHEN]
    if len(named) != 1:
        names = f"; here are {len(named)}: {', '.join(map(str, named))}" if named else ""
        hint = "write several steps as a list: [{…}, {…}]" if named else None
        findings.append(Finding(path, f"a step has one transform{names}", hint))
        return None
    when = raw.get(WHEN)
    if WHEN in raw and not (isinstance(when, str) and when.strip()):
        findings.append(Finding((*path, WHEN), '"when" must be a condition, as in `country == "DE"`'))
        return None
    name = str(named[0])
    return _build(name, raw[named[0]], when, path, (*path, name), findings)


def _build(  # noqa: PLR0917 - one caller, next to it
    name: str, raw: Any, when: str | None, path: Path, options_path: Path, findings: list[Finding]
) -> StepSpec | None:
    model = find_transform(name)
    if model is None:
        hint = did_you_mean(name, transforms()) or "`pydp policy schema` lists them"
        findings.append(Finding(options_path, f'unknown transform "{name}"', hint, at_key=options_path != path))
        return None
    subject, prefix = f'transform "{name}"', options_path
    options = {} if raw is None else raw
    if not isinstance(options, Mapping):
        main = model.info.main_option
        if main is None:
            findings.append(Finding(options_path, f"{subject} takes no value of its own", _options_hint(model)))
            return None
        options = {_written(model, main): options}
    options = {str(key): value for key, value in options.items()}
    try:
        return StepSpec(name, model.model_validate(options), when)
    except ValidationError as error:
        for finding in validation_findings(error, model, options, subject):
            if finding.path == (WHEN,) and finding.at_key:
                hint = f"write it beside the transform: {{{name}: {{…}}, when: …}}"
                finding = Finding(finding.path, finding.message, hint, at_key=True)  # noqa: PLW2901
            findings.append(finding.under(prefix))
        return None


def _options_hint(model: type[TransformOptions]) -> str:
    names = [_written(model, name) for name in model.model_fields]
    return f"its options are: {', '.join(names)}" if names else f"write `{model.info.name}` alone"


def _written(model: type[TransformOptions], name: str) -> str:
    return model.model_fields[name].alias or name


def parse_setting(text: str) -> tuple[str, StepSpec]:
    """Read `COLUMN=TRANSFORM[:OPTION=VALUE,…]`; a lone value is the main option, as in `zip=prefix:3`.

    Values are read as YAML scalars, `[lists]` or `{a: mappings}`. Raises `UsageError`.
    """
    column, name, options = split_setting(text)
    model = find_transform(name)
    raw: dict[str, Any] = {}
    if model is not None:
        known = {_written(model, field): field for field in model.model_fields}
        main = None if model.info.main_option is None else _written(model, model.info.main_option)
        raw = setting_options(column, name, options, known=known, main=main)
    findings: list[Finding] = []
    step = read_step({name: raw}, (), findings)
    if step is None or findings:
        raise UsageError(findings[0].message, place=f"--set {column}", hint=findings[0].hint)
    return column, step


def split_setting(text: str) -> tuple[str, str, str]:
    """Cut `COLUMN=WORD:REST` into its parts."""
    column, equals, treatment = text.partition("=")
    name, _, options = treatment.partition(":")
    if not column or not equals or not name.strip():
        raise UsageError(
            "a setting is written COLUMN=TRANSFORM[:OPTION=VALUE,…]",
            place=f"--set {column}" if column and equals else "--set",
            hint="for example --set zip=prefix:3",
        )
    return column, name.strip(), options


def setting_options(
    column: str, name: str, text: str, *, known: Mapping[str, object], main: str | None
) -> dict[str, Any]:
    """Read the options of a setting; the first may be a lone value for the main option."""
    place = f"--set {column}"
    options: dict[str, Any] = {}
    try:
        parts = split_outside(text) if text else []
        for index, part in enumerate(parts):
            option, equals, value = part.partition("=")
            option = option.strip()
            if not equals or (option not in known and not option.isidentifier()):
                if index > 0 or main is None:
                    raise UsageError(
                        f'"{name}" has an option without a name',
                        place=place,
                        hint="write OPTION=VALUE, and quote a value that has a comma",
                    )
                option, value = main, part
            if option in options:
                raise UsageError(f'option "{option}" is set twice', place=place)
            options[option] = flow_value(value)
    except ValueError as error:
        raise UsageError(str(error), place=place) from None
    return options


def to_yaml(step: StepSpec) -> Any:
    """Give a step as plain data that reads back as the same step, in its shortest form."""
    options = plain(step.options.model_dump(by_alias=True, exclude_defaults=True))
    main = step.options.info.main_option
    short: Any = options
    if main is not None and list(options) == [_written(type(step.options), main)]:
        value = next(iter(options.values()))
        short = options if value is None or isinstance(value, dict) else value
    if step.when is not None:
        return {step.name: short, WHEN: step.when}
    return {step.name: short} if options else step.name


def plain(value: Any) -> Any:
    """Give a dumped value in the types that YAML has."""
    if isinstance(value, Mapping):
        return {_key(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        items = [plain(item) for item in value]
        return sorted(items) if isinstance(value, (set, frozenset)) else items
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, Decimal):
        return _number(value)
    return value.isoformat() if isinstance(value, date) else value


def _key(key: Any) -> str:
    if isinstance(key, bool):
        return str(key).lower()
    return str(plain(key))


def _number(value: Decimal) -> int | float | str:
    if value == value.to_integral_value():
        return int(value) if abs(value) < 10**18 else str(value)
    return float(value) if Decimal(repr(float(value))) == value else str(value)
