# ruff: noqa: INP001
"""Extract the word lists of fake values from Faker's providers into versioned data files.

Run once for a version of the lists; the files it writes are what pydp reads, so that a new Faker never changes a
pseudonym. `python tools/extract_word_lists.py` needs `faker` installed.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[1] / "pydp_cli" / "transforms" / "data"
VERSION = 1

# Locale: which list of a provider each slot comes from, and what each format is composed of.
NAMES = {"first_name": "person.first_names", "last_name": "person.last_names"}
SUFFIX = {"company_suffix": "company.company_suffixes"}
WESTERN = {"name": "{first_name} {last_name}", "first_name": "{first_name}", "last_name": "{last_name}"}
ENGLISH_TOWNS = {
    "city_prefix": "address.city_prefixes",
    "city_suffix": "address.city_suffixes",
    "street_suffix": "address.street_suffixes",
}
ENGLISH_PATTERNS = {
    **WESTERN,
    "city": "{city_prefix} {last_name}{city_suffix}",
    "street": "{number} {last_name} {street_suffix}",
    "company": "{last_name} & {last_name} {company_suffix}",
}
LOCALES: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "en_US": (
        {**NAMES, **ENGLISH_TOWNS, "company_suffix": ["Inc", "Group", "LLC", "Ltd", "PLC", "and Sons"]},
        ENGLISH_PATTERNS,
    ),
    "en_GB": (
        {**NAMES, **ENGLISH_TOWNS, "company_suffix": ["Group", "Ltd", "PLC", "and Sons"]},
        ENGLISH_PATTERNS,
    ),
    "de_DE": (
        {**NAMES, **SUFFIX, "city": "address.cities", "street_suffix": "address.street_suffixes_long"},
        {
            **WESTERN,
            "city": "{city}",
            "street": "{first_name}-{last_name}-{street_suffix} {number}",
            "company": "{last_name} {last_name} {company_suffix}",
        },
    ),
    "fr_FR": (
        {**NAMES, **SUFFIX, "city_suffix": "address.city_suffixes", "street_prefix": "address.street_prefixes"},
        {
            **WESTERN,
            "city": "{last_name}-{city_suffix}",
            "street": "{number}, {street_prefix} {first_name} {last_name}",
            "company": "{last_name} {last_name} {company_suffix}",
        },
    ),
    "es_ES": (
        {**NAMES, **SUFFIX, "city": "address.states", "street_prefix": "address.street_prefixes"},
        {
            **WESTERN,
            "name": "{first_name} {last_name} {last_name}",
            "city": "{city}",
            "street": "{street_prefix} {first_name} {last_name} {number}",
            "company": "{last_name} y {last_name} {company_suffix}",
        },
    ),
    "it_IT": (
        {
            **NAMES,
            **SUFFIX,
            "city_prefix": "address.city_prefixes",
            "city_suffix": "address.city_suffixes",
            "street_prefix": "address.street_suffixes",
        },
        {
            **WESTERN,
            "city": "{city_prefix} {first_name} {city_suffix}",
            "street": "{street_prefix} {last_name}, {number}",
            "company": "{last_name}-{last_name} {company_suffix}",
        },
    ),
    "nl_NL": (
        {**NAMES, **SUFFIX, "city": "address.cities", "street_suffix": "address.street_suffixes"},
        {
            **WESTERN,
            "city": "{city}",
            "street": "{first_name}{street_suffix} {number}",
            "company": "{last_name} & {last_name} {company_suffix}",
        },
    ),
    "pt_BR": (
        {**NAMES, **SUFFIX, "city_suffix": "address.city_suffixes", "street_prefix": ["Rua", "Avenida", "Travessa"]},
        {
            **WESTERN,
            "city": "{last_name} {city_suffix}",
            "street": "{street_prefix} {first_name} {last_name}, {number}",
            "company": "{last_name} {last_name} {company_suffix}",
        },
    ),
    "pl_PL": (
        {
            "first_name": "person.first_names",
            "last_name": "person.unisex_last_names",
            **SUFFIX,
            "city": "address.cities",
            "street_name": "address.streets_adjective_feminine",
        },
        {
            **WESTERN,
            "city": "{city}",
            "street": "ulica {street_name} {number}",
            "company": "{last_name}-{last_name} {company_suffix}",
        },
    ),
    "sv_SE": (
        {
            **NAMES,
            **SUFFIX,
            "city": "address.cities",
            "street_prefix": "address.street_prefixes",
            "street_suffix": "address.street_suffixes",
        },
        {
            **WESTERN,
            "city": "{city}",
            "street": "{street_prefix}{street_suffix} {number}",
            "company": "{last_name} & {last_name} {company_suffix}",
        },
    ),
}


def words(locale: str, source: str | list[str]) -> list[str]:
    """Give a provider's list, without repetitions, in code point order."""
    if isinstance(source, list):
        return source
    area, name = source.split(".")
    provider = importlib.import_module(f"faker.providers.{area}.{locale}").Provider
    return sorted({word.strip() for word in getattr(provider, name)})


def main() -> None:
    """Write one file for each locale."""
    faker = importlib.metadata.version("faker")
    for locale, (lists, patterns) in LOCALES.items():
        head = {
            "version": VERSION,
            "locale": locale,
            "source": f"Faker {faker}, https://github.com/joke2k/faker, Copyright (c) 2012 Daniele Faraglia",
            "licence": "MIT, see fake_values.LICENSE",
            "patterns": patterns,
        }
        lines = [f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in head.items()]
        slots = [
            f"  {json.dumps(slot)}: {json.dumps(words(locale, source), ensure_ascii=False)}"
            for slot, source in lists.items()
        ]
        text = "{\n" + ",\n".join([*lines, ' "lists": {\n' + ",\n".join(slots) + "\n }"]) + "\n}\n"
        (DATA / f"fake_values.{locale}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
