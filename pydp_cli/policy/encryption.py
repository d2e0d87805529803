"""How a column is encrypted: the `encrypt:` key of a column."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pydp_cli.policy.part import Names, PolicyModel

Mode = Literal["random", "deterministic"]


class FpeSpec(PolicyModel):
    """Format-preserving encryption (FF1): the result looks like the value."""

    alphabet: Annotated[
        str,
        Field(
            min_length=2,
            description="`digits`, `letters`, `lower`, `upper`, `alphanumeric`, `hex`, or the characters themselves.",
        ),
    ] = "digits"
    keep_first: Annotated[int, Field(ge=0, le=1000, description="How many characters stay at the start.")] = 0
    keep_last: Annotated[int, Field(ge=0, le=1000, description="How many characters stay at the end.")] = 0
    check_digit: Annotated[
        str | None, Field(description="The check digit that is computed anew, such as `luhn` or `iban`.")
    ] = None


class BlindIndexSpec(PolicyModel):
    """A searchable companion column: a short keyed hash, on purpose shared by several values."""

    bits: Annotated[int | None, Field(ge=1, le=128, description="The length of the hash.")] = None
    population: Annotated[
        int | None, Field(ge=1, description="How many different values there are; the length follows from it.")
    ] = None

    @model_validator(mode="after")
    def _one(self) -> BlindIndexSpec:
        if (self.bits is None) == (self.population is None):
            raise ValueError("give either `bits` or `population`")
        return self


class EncryptSpec(PolicyModel):
    """How a column is encrypted; `encrypt: true` is `mode: random`."""

    mode: Annotated[
        Mode, Field(description="`random` tells nothing but lengths; `deterministic` tells which values are equal.")
    ] = "random"
    bind: Annotated[Names, Field(description="Columns of the row that a cell is tied to.")] = ()
    nulls: Annotated[Literal["keep", "encrypt"], Field(description="Whether nulls show.")] = "keep"
    pad: Annotated[int | None, Field(ge=1, le=65536, description="Lengths are padded to a multiple of this.")] = None
    fpe: Annotated[FpeSpec | None, Field(description="Keep the format of the value.")] = None
    blind_index: Annotated[BlindIndexSpec | None, Field(description="Add a searchable companion column.")] = None
    domain: Annotated[
        str | None, Field(min_length=1, description="Deterministic cells agree wherever this name does.")
    ] = None
    key: Annotated[str | None, Field(min_length=1, description="The key of the keyring, by name.")] = None
    per_subject: Annotated[
        bool | str,
        Field(
            description="A key for each person, destroyed when they are erased; or the column that names the person."
        ),
    ] = False

    @model_validator(mode="after")
    def _fits_together(self) -> EncryptSpec:
        if self.fpe is not None:
            others = {"mode", "bind", "nulls", "pad"} & self.model_fields_set
            if others:
                raise ValueError(f"`fpe` cannot go with: {', '.join(sorted(others))}")
        if self.per_subject is not False:
            self._fits_people()
        if self.domain is not None and self.mode == "random" and self.fpe is None:
            raise ValueError("`domain` goes with `mode: deterministic` or `fpe`")
        return self

    def _fits_people(self) -> None:
        """Refuse what would still tell of people whose key is gone, or name a key that is not theirs."""
        if self.per_subject == "":
            raise ValueError("`per_subject` is true, or the name of a column")
        others = [name for name in ("fpe", "domain") if getattr(self, name) is not None]
        if self.key is not None and self.blind_index is None:  # else it is the index's key
            others.append("key")
        if self.mode == "deterministic":
            others.append("mode: deterministic")
        if others:
            raise ValueError(f"`per_subject` cannot go with: {', '.join(others)}")


def encryption_from(raw: Any) -> Any:
    """Write the short forms out: `true`, `random`, `deterministic`, `fpe`."""
    if raw is True:
        return {}
    if raw in ("random", "deterministic"):
        return {"mode": raw}
    if raw == "fpe":
        return {"fpe": {}}
    if isinstance(raw, dict) and raw.get("fpe") is True:
        return {**raw, "fpe": {}}
    return raw
