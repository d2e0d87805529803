"""What the policy says of people's rights: purposes, retention, erasure, holds, and what is not personal."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from pydp_cli.policy.part import Names, PolicyModel

_DURATION = re.compile(r"P(?!$)([0-9]+Y)?([0-9]+M)?([0-9]+W)?([0-9]+D)?(T(?=[0-9])([0-9]+H)?([0-9]+M)?([0-9]+S)?)?")


def _is_duration(text: str) -> str:
    if not _DURATION.fullmatch(text):
        raise ValueError("must be an ISO 8601 duration, such as P3Y or P30D")
    return text


def duration_parts(text: str) -> tuple[int, ...]:
    """Give the years, months, weeks, days, hours, minutes and seconds of an ISO 8601 duration."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError("must be an ISO 8601 duration, such as P3Y or P30D")
    return tuple(int(found.group(number)[:-1]) if found.group(number) else 0 for number in (1, 2, 3, 4, 6, 7, 8))


def duration_days(text: str) -> float:
    """Give about how many days an ISO 8601 duration has, to compare one with another; dates are counted by months."""
    years, months, weeks, days, hours, minutes, seconds = duration_parts(text)
    return (years * 12 + months) * 365.25 / 12 + weeks * 7 + days + hours / 24 + minutes / 1440 + seconds / 86400


Duration = Annotated[str, AfterValidator(_is_duration)]
_Action = Literal[
    "delete_row",
    "null",
    "constant",
    "generalise",
    "pseudonymise",
    "crypto_shred",
    "unlink",
    "restrict",
    "review",
    "keep",
]


def _named_null(raw: Any) -> Any:
    return "null" if raw is None else raw  # what YAML reads `null` as


Action = Annotated[_Action, BeforeValidator(_named_null, json_schema_input_type=_Action | None)]


class Retention(PolicyModel):
    """How long rows are kept, counted from a clock, and what happens then."""

    clock: Annotated[Names, Field(min_length=1, description="The column of the date; of several, the latest counts.")]
    keep: Annotated[Duration, Field(description="How long, as an ISO 8601 duration.")]
    grace: Annotated[Duration | None, Field(description="How much later it happens.")] = None
    unless: Annotated[str | None, Field(min_length=1, description="A condition on rows that stay.")] = None
    on_null_clock: Annotated[Literal["keep", "quarantine", "delete"], Field(description="Rows without a date.")] = (
        "keep"
    )
    then: Annotated[Action, Field(description="What happens to a row that is past it.")] = "delete_row"


def _erase_from(raw: Any) -> Any:
    return {"action": raw} if isinstance(raw, str) else raw


class EraseRule(PolicyModel):
    """What erasing a person does to the rows of a dataset."""

    action: Annotated[Action | Literal["mask"], Field(description="What happens to the person's rows.")] = "delete_row"
    set: Annotated[
        dict[str, Any], Field(default_factory=dict, description="For each column, what is put in its place.")
    ]
    because: Annotated[str | None, Field(description="Why rows are kept: a purpose, or a reason.")] = None
    when: Annotated[str | None, Field(min_length=1, description="A condition on the rows that it happens to.")] = None


Erase = Annotated[EraseRule, BeforeValidator(_erase_from)]


class Purpose(PolicyModel):
    """What data is used for, and what allows it."""

    basis: Annotated[
        Literal["consent", "contract", "legal-obligation", "vital-interests", "public-task", "legitimate-interests"],
        Field(description="The legal basis."),
    ]
    description: str | None = None
    dpv: Annotated[str | None, Field(description="The term of the Data Privacy Vocabulary.")] = None
    reference: Annotated[str | None, Field(description="The law or contract.")] = None
    notice: Annotated[str | None, Field(description="The file of the notice that people saw.")] = None
    keep: Annotated[Duration | None, Field(description="How long this purpose obliges to keep data.")] = None
    recipients: Names = ()


def _as_text(raw: Any) -> Any:
    values = raw if isinstance(raw, (list, tuple)) else [raw]
    return [str(value) if isinstance(value, int) and not isinstance(value, bool) else value for value in values]


Values = Annotated[tuple[str, ...], BeforeValidator(_as_text, json_schema_input_type=str | int | list[str | int])]


class HoldMatch(PolicyModel):
    """Whose rows are held, and where: all of a dataset where nobody is named, and everywhere where no dataset is."""

    identity: Annotated[
        dict[str, Values], Field(default_factory=dict, description="For each kind of identifier, whose.")
    ]
    datasets: Annotated[Names, Field(description="In which datasets; all by default.")] = ()

    @model_validator(mode="after")
    def _says_something(self) -> HoldMatch:
        if not self.datasets and not any(self.identity.values()):
            raise ValueError("says neither whose rows nor which datasets")
        return self


Blocked = Literal["erase", "retention", "shred"]


class Hold(PolicyModel):
    """A legal hold: what must not be deleted."""

    id: Annotated[str, Field(min_length=1)]
    matter: Annotated[str, Field(min_length=1)]
    match: Annotated[HoldMatch, Field(description="Whose data, and in which datasets.")]
    from_: Annotated[date | None, Field(alias="from")] = None
    until: date | None = None
    blocks: Annotated[tuple[Blocked, ...], Field(description="What it stops.")] = (
        "erase",
        "retention",
        "shred",
    )
    by: str | None = None


class NotPersonal(PolicyModel):
    """Files that hold no personal data, and why."""

    path: Annotated[str, Field(min_length=1)]
    because: Annotated[str, Field(min_length=1)]


class Controller(PolicyModel):
    """Who answers for the data."""

    name: Annotated[str, Field(min_length=1)]
    dpo: str | None = None
    address: str | None = None
    regimes: Names = ()


class RotationRule(PolicyModel):
    """When a key is due for rotation."""

    max_age: Annotated[Duration, Field(description="The greatest age of a key version.")]
    mode: Annotated[
        Literal["rewrap-root", "rewrap-files", "reencrypt"] | None, Field(description="How it is rotated.")
    ] = None


class Rotation(PolicyModel):
    """When keys are due: for each key by name, and by default."""

    max_age: Duration | None = None
    keys: Annotated[dict[str, RotationRule], Field(default_factory=dict)]

    @model_validator(mode="before")
    @classmethod
    def _short_keys(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and isinstance(raw.get("keys"), dict):
            keys = {name: {"max_age": rule} if isinstance(rule, str) else rule for name, rule in raw["keys"].items()}
            return {**raw, "keys": keys}
        return raw
