"""Shorten phone numbers to their country or area, or bring them to one form."""

from __future__ import annotations

from typing import Annotated, Literal

import pyarrow as pa
from pydantic import Field, field_validator

from pydp_cli.transforms.invalid import OnInvalid, over_distinct, settle
from pydp_cli.transforms.registry import TransformOptions, transform
from pydp_cli.transforms.types import TEXT

MIN_HIDDEN = 4


@transform("phone", takes=TEXT, reversible=False, leaks="the country", main_option="keep")
class Phone(TransformOptions):
    """Keep the country of a phone number: `phone: {phone: country}` makes `+49*********` of `030 1234567`.

    `area` keeps the geographic area code too (`+4930*******`); mobile numbers have none. `number` hides nothing and
    only brings the number to its international form (E.164). `keep_last` keeps the last digits; where fewer than 4
    digits would be hidden, they are hidden too, and then the area. A number without `+` is read as one of `region`.
    Null stays null. Each distinct number is parsed once, at about 15 µs.
    """

    keep: Annotated[Literal["country", "area", "number"], Field(description="The part of the number that is kept.")] = (
        "country"
    )
    keep_last: Annotated[int, Field(ge=0, le=4, description="How many of the last digits are kept as well.")] = 0
    region: Annotated[
        str | None,
        Field(description="The country (two letters, such as DE) of numbers that are written without one."),
    ] = None
    char: Annotated[
        str, Field(min_length=1, max_length=1, description="The character that stands for each hidden digit.")
    ] = "*"
    on_invalid: OnInvalid = "redact"

    @field_validator("region")
    @classmethod
    def _known_region(cls, region: str | None) -> str | None:
        import phonenumbers

        if region is not None and region not in phonenumbers.SUPPORTED_REGIONS:
            raise ValueError("not the two capital letters of a country with phone numbers")
        return region

    def leak(self) -> str:
        """Say what is kept."""
        kept = {"country": "the country", "area": "the country and area", "number": "the whole number"}[self.keep]
        return kept if self.keep == "number" else f"{kept}, and how long the number is" + self._last()

    def _last(self) -> str:
        return f", and its last {self.keep_last} digits" if self.keep_last else ""

    def makes_null(self) -> bool:
        """Say whether an invalid number becomes null."""
        return self.on_invalid == "null"

    def apply(self, column: pa.StringArray) -> pa.StringArray:
        """Parse each distinct number once."""
        return settle(column, over_distinct(column, self._treat), self.on_invalid, "a phone number")

    def _treat(self, text: str) -> str | None:
        import phonenumbers

        try:
            number = phonenumbers.parse(text, self.region)
        except phonenumbers.NumberParseException:
            return None
        if not phonenumbers.is_possible_number(number):
            return None
        country, national = f"+{number.country_code}", phonenumbers.national_significant_number(number)
        if self.keep == "number":
            return f"{country}{national}"
        area = phonenumbers.length_of_geographical_area_code(number) if self.keep == "area" else 0
        last = self.keep_last
        if len(national) - area - last < MIN_HIDDEN:
            last = 0
        if len(national) - area < MIN_HIDDEN:
            area = 0
        hidden = len(national) - area - last
        return f"{country}{national[:area]}{self.char * hidden}{national[len(national) - last :]}"
