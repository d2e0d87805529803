"""The typed model of a policy file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    PrivateAttr,
    WithJsonSchema,
    field_validator,
    model_serializer,
    model_validator,
)

from pydp_cli.datasets.csv_dialect import CsvOptions
from pydp_cli.errors import UsageError
from pydp_cli.policy.column_types import ColumnType
from pydp_cli.policy.condition_syntax import ConditionError, parse_condition
from pydp_cli.policy.document import Document
from pydp_cli.policy.encryption import EncryptSpec, encryption_from
from pydp_cli.policy.part import Names, PolicyModel
from pydp_cli.policy.rights import Controller, Erase, Hold, NotPersonal, Purpose, Retention, Rotation
from pydp_cli.policy.statistics import Statistics
from pydp_cli.transforms.file_name import FileName
from pydp_cli.transforms.findings import Finding, did_you_mean, raise_in_validator
from pydp_cli.transforms.normalize import is_rule, rule_names
from pydp_cli.transforms.registry import find_transform, transforms
from pydp_cli.transforms.treatment import WHEN, StepSpec, plain, read_treatment, to_yaml

DECIDE = "decide"
OtherColumns = Literal["error", "drop", "keep"]
Guard = Literal["drop", "refuse", "pass"]


def _treatment(raw: Any) -> tuple[StepSpec, ...]:
    findings: list[Finding] = []
    steps = read_treatment(raw, findings)
    for index, step in enumerate(raw if isinstance(raw, (list, tuple)) else [raw]):
        when = step.get(WHEN) if isinstance(step, dict) else None
        if isinstance(when, str) and when.strip():
            findings += [
                finding.under((index, WHEN) if isinstance(raw, (list, tuple)) else (WHEN,))
                for finding in condition_findings(when)
            ]
    raise_in_validator(findings)
    return steps


def condition_findings(text: str) -> list[Finding]:
    """Tell what keeps a condition from being read."""
    try:
        parse_condition(text)
    except ConditionError as error:
        return [Finding((), error.message, error.hint)]
    return []


def _condition(text: str) -> str:
    raise_in_validator(condition_findings(text))
    return text


ConditionText = Annotated[str, Field(min_length=1), AfterValidator(_condition)]


def treatment_to_yaml(steps: tuple[StepSpec, ...]) -> Any:
    """Write a treatment in its shortest form."""
    return to_yaml(steps[0]) if len(steps) == 1 else [to_yaml(step) for step in steps]


Treatment = Annotated[
    tuple[StepSpec, ...],
    PlainValidator(_treatment),
    PlainSerializer(treatment_to_yaml),
    WithJsonSchema({"title": "Treatment"}),  # written out in policy/schema.py
]


class ColumnPolicy(PolicyModel):
    """What is done to a column: `keep`, a transform, a list of them, or a mapping with the keys below."""

    type: Annotated[ColumnType | None, Field(description="The type that text is read as.")] = None
    anonymize: Annotated[Treatment | None, Field(description="The treatment of `pydp anonymize`.")] = None
    encrypt: Annotated[
        Annotated[EncryptSpec, BeforeValidator(encryption_from)] | None,
        Field(description="The treatment of `pydp encrypt`."),
    ] = None
    category: Annotated[str | None, Field(description="The category of personal data.")] = None
    purposes: Annotated[Names, Field(description="The purposes that the column may be used for.")] = ()
    retention: Annotated[Retention | None, Field(description="How long its values are kept; then they are null.")] = (
        None
    )
    prose: Annotated[bool, Field(description="Whether it is free text that may mention people.")] = False
    decide: Annotated[bool, Field(exclude=True, description="Whether the treatment is still to be decided.")] = False

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and (not raw or raw.keys() & cls.model_fields.keys()):
            written = raw
        elif isinstance(raw, dict) and not any(key == WHEN or find_transform(str(key)) for key in raw):
            known = [*cls.model_fields, *transforms()]
            raise_in_validator(
                [Finding((key,), f'unknown key "{key}"', did_you_mean(key, known), at_key=True) for key in raw]
            )
            return raw
        else:
            written = {"anonymize": raw}
        if written.get("anonymize", ()) is None:  # the transform `null`, which YAML reads as nothing
            return {**written, "anonymize": "null"}
        if written.get("anonymize", ()) in (DECIDE, [DECIDE]):
            return {**{key: value for key, value in written.items() if key != "anonymize"}, "decide": True}
        return written

    @model_serializer(mode="wrap")
    def _shortest(self, serialize: Any) -> Any:
        written = {key: value for key, value in serialize(self).items() if value not in (None, (), [], False)}
        if self.decide:
            written["anonymize"] = DECIDE
        if isinstance(written.get("encrypt"), dict):
            written["encrypt"] = {k: v for k, v in written["encrypt"].items() if v not in (None, (), [])} or True
        return written["anonymize"] if list(written) == ["anonymize"] else written


class Identity(PolicyModel):
    """A kind of identifier that people are known by, and how its spellings are made one."""

    normalize: Annotated[
        tuple[str, ...],
        Field(description="Rules, applied in order: nfkc, strip, casefold, digits, alphanumeric, plus_tag, e164: DE."),
    ] = ()
    type: Annotated[ColumnType | None, Field(description="The type of the identifier.")] = None
    shared: Annotated[tuple[str, ...], Field(description="Values that several people share, and that never join.")] = ()

    @model_validator(mode="before")
    @classmethod
    def _of_one_column(cls, raw: Any) -> Any:
        if isinstance(raw, (list, tuple)) or (isinstance(raw, dict) and "columns" in raw):
            hint = "add a column to the data that joins them, such as tenant/customer"
            raise_in_validator([Finding((), "an identifier is one column, and not several together", hint)])
        return raw

    @field_validator("normalize", mode="before")
    @classmethod
    def _rules(cls, raw: Any) -> Any:
        if isinstance(raw, str):
            raw = [raw]
        if not isinstance(raw, (list, tuple)):
            return raw
        rules = [
            ":".join(map(str, *rule.items())) if isinstance(rule, dict) and len(rule) == 1 else rule for rule in raw
        ]
        findings = [
            Finding((place,), "unknown rule in normalize", did_you_mean(str(rule), rule_names()))
            for place, rule in enumerate(rules)
            if not (isinstance(rule, str) and is_rule(rule))
        ]
        raise_in_validator(findings)
        return tuple(rules)


class DomainPolicy(PolicyModel):
    """What is known of a pseudonym domain."""

    population: Annotated[
        int | None, Field(ge=1, description="How many different values it will have, for the bound on collisions.")
    ] = None


class DatasetPolicy(PolicyModel):
    """One dataset: its files, and what is done to each column."""

    path: Annotated[
        FileName | None,
        Field(min_length=1, description="File, glob, directory (hive partitions) or object-store URL."),
    ] = None
    csv: Annotated[CsvOptions, Field(description="How its CSV files are written; what is left out is detected.")] = (
        CsvOptions()
    )
    other_columns: Annotated[OtherColumns, Field(description="What happens to columns not named below.")] = "error"
    identifiers: Annotated[
        dict[str, str], Field(default_factory=dict, description="The columns that people are known by: identity.")
    ]
    links: Annotated[
        dict[str, str],
        Field(default_factory=dict, description="The columns that refer to another dataset: dataset.column."),
    ]
    columns: Annotated[dict[str, ColumnPolicy], Field(default_factory=dict, description="What is done to each column.")]
    keep_rows: Annotated[ConditionText | None, Field(description="A condition: other rows are left out.")] = None
    drop_rows: Annotated[ConditionText | None, Field(description="A condition: such rows are left out.")] = None
    release: Annotated[
        str | None, Field(min_length=1, description="Pseudonyms of different releases cannot be linked.")
    ] = None
    retention: Retention | None = None
    erase: Erase | None = None
    guard: Annotated[
        Guard | None,
        Field(description="Rows of people who were erased: drop them, refuse them, or let them pass."),
    ] = None
    purposes: Names = ()
    subject: Annotated[str | None, Field(description="Whom a row is about.")] = None
    other_people: Annotated[Names, Field(description="Columns about other people, left out of exports.")] = ()
    opt_out: Annotated[
        dict[str, Names],
        Field(default_factory=dict, description="Columns that say no (do-not-sell, GPC): the purposes that they bar."),
    ]
    derived_from: Annotated[Names, Field(description="The datasets that it was made from.")] = ()
    models: Annotated[Names, Field(description="Models that were trained on it.")] = ()

    @field_validator("links", mode="before")
    @classmethod
    def _links(cls, raw: Any) -> Any:
        if isinstance(raw, list) and all(isinstance(link, dict) and {"column", "to"} == link.keys() for link in raw):
            return {link["column"]: link["to"] for link in raw}
        return raw

    @field_validator("links")
    @classmethod
    def _link_targets(cls, links: dict[str, str]) -> dict[str, str]:
        raise_in_validator(
            [
                Finding((column,), "a link is written DATASET.COLUMN", "for example customers.id")
                for column, target in links.items()
                if not all(target.partition("."))
            ]
        )
        return links

    @property
    def retentions(self) -> tuple[Retention, ...]:
        """The rules on how long rows and values are kept."""
        own = (column.retention for column in self.columns.values())
        return tuple(rule for rule in (self.retention, *own) if rule is not None)

    @property
    def has_people_keys(self) -> bool:
        """Whether there are columns under people's own keys."""
        specs = [column.encrypt for column in self.columns.values() if column.encrypt is not None]
        return any(spec.per_subject is not False for spec in specs)

    def link_of(self, column: str) -> tuple[str, str] | None:
        """Give the dataset and column that a column refers to."""
        target = self.links.get(column)
        if target is None:
            return None
        dataset, _, name = target.partition(".")
        return dataset, name


class Policy(PolicyModel):
    """A whole policy file."""

    version: Annotated[Literal[1], Field(description="The version of the policy language.")]
    keyring: Annotated[FileName | None, Field(min_length=1, description="The keyring, made by `pydp keys init`.")] = (
        None
    )
    subject_keys: Annotated[
        FileName | None,
        Field(min_length=1, description="The store of people's own keys; by default `subject-keys.db` in `state`."),
    ] = None
    state: Annotated[FileName, Field(min_length=1, description="Journals, ledger, audit log and consent.")] = ".pydp"
    release: Annotated[
        str | None, Field(min_length=1, description="Pseudonyms of different releases cannot be linked.")
    ] = None
    controller: Controller | None = None
    identities: Annotated[
        dict[str, Identity], Field(default_factory=dict, description="The kinds of identifier of people.")
    ]
    domains: Annotated[
        dict[str, DomainPolicy], Field(default_factory=dict, description="What is known of pseudonym domains.")
    ]
    purposes: Annotated[dict[str, Purpose], Field(default_factory=dict, description="What data is used for.")]
    datasets: Annotated[dict[str, DatasetPolicy], Field(default_factory=dict, description="The datasets, by name.")]
    statistics: Statistics | None = None
    holds: Annotated[tuple[Hold, ...], Field(description="What must not be deleted.")] = ()
    not_personal: Annotated[tuple[NotPersonal, ...], Field(description="Files without personal data.")] = ()
    rotation: Rotation | None = None
    _base_dir: Path = PrivateAttr(default_factory=Path)
    _document: Document | None = PrivateAttr(default=None)
    _sources: list[tuple[str, str, str, str]] | None = PrivateAttr(default=None)

    @property
    def base_dir(self) -> Path:
        """The folder that paths in the policy are relative to."""
        return self._base_dir

    @property
    def keyring_path(self) -> Path | None:
        """The keyring's path."""
        return None if self.keyring is None else self._base_dir / self.keyring

    @property
    def state_dir(self) -> Path:
        """The folder of journals, ledger, audit log and consent."""
        return self._base_dir / self.state

    @property
    def subject_keys_path(self) -> Path:
        """The path of the store of people's own keys."""
        return self.state_dir / "subject-keys.db" if self.subject_keys is None else self._base_dir / self.subject_keys

    @property
    def digest(self) -> str:
        """SHA-256 of what the policy says, however it is written."""
        said = json.dumps(self.to_data(), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(said.encode()).hexdigest()

    def to_data(self) -> dict[str, Any]:
        """Give the policy as plain data that reads back as the same policy."""
        data: dict[str, Any] = plain(self.model_dump(by_alias=True, exclude_defaults=True))
        return {"version": self.version, **data}

    def located(self, base_dir: Path, document: Document | None) -> Policy:
        """Note where the policy came from; gives the policy itself."""
        self._base_dir, self._document = base_dir, document
        return self

    def place_of(self, *path: str | int, at_key: bool = True) -> str | None:
        """Give the place of a key in the file, as `pydp.yml:14:9`; None for a policy that no file holds."""
        return None if self._document is None else self._document.place_of(path, at_key=at_key)

    def with_other_columns(self, dataset: str | None, value: str) -> Policy:
        """Change what happens to columns that are not named, in one dataset or in all."""
        if value not in ("error", "drop", "keep"):
            raise UsageError("--other-columns is one of: error, drop, keep")
        if dataset is not None and dataset not in self.datasets:
            hint = did_you_mean(dataset, self.datasets)
            raise UsageError(f'the policy has no dataset "{dataset}"', hint=hint)
        changed = {
            name: chosen.model_copy(update={"other_columns": value}) if dataset in (None, name) else chosen
            for name, chosen in self.datasets.items()
        }
        return self.model_copy(update={"datasets": changed}).located(self._base_dir, self._document)

    def person_column(self, dataset: str, column: str) -> str:
        """Name the column that says whose key a `per_subject` column's value is under; raises `UsageError`."""
        chosen = self.datasets[dataset]
        treated = chosen.columns[column].encrypt
        place = self.place_of("datasets", dataset, "columns", column, "encrypt") or f'column "{column}"'
        named = None if treated is None else treated.per_subject
        people = [name for name in chosen.identifiers if name not in chosen.other_people]
        linked = [name for name in chosen.links if name not in chosen.other_people and name not in people]
        linked = [name for name in linked if self.identity_of(dataset, name) is not None]
        if isinstance(named, str):
            if named not in (*people, *linked):
                hint = did_you_mean(named, [*people, *linked]) or "name it under `identifiers:` of the dataset"
                raise UsageError(f'column "{named}" does not name whose the row is', place=place, hint=hint)
            return named
        found = people or linked
        if len(found) != 1:
            told = "several columns name" if found else "no column names"
            hint = f"say which, as in `per_subject: {found[0]}`" if found else "declare `identifiers:` of the dataset"
            raise UsageError(f"{told} whose the row is, whose key its values are to be under", place=place, hint=hint)
        return found[0]

    def identity_of(self, dataset: str, column: str) -> str | None:
        """Name the identity of a column: its own, or that of the column it is linked to."""
        seen: set[tuple[str, str]] = set()
        while (dataset, column) not in seen and dataset in self.datasets:
            seen.add((dataset, column))
            chosen = self.datasets[dataset]
            if column in chosen.identifiers:
                return chosen.identifiers[column]
            target = chosen.link_of(column)
            if target is None:
                return None
            dataset, column = target
        return None

    def normalization(self, dataset: str, column: str, domain: str) -> tuple[str, ...]:
        """Give the rules by which a column's values are made comparable in a pseudonym domain.

        They are those of the column's identity where the domain is the column's own; else those of the identity of the
        domain's name; else those of the identity of another column in the domain. Of a date that is shifted per
        person, the column of the person counts.
        """
        if self._sources is None:
            self._sources = list(self._domain_columns())
        sources = [(source[1:3], source[3]) for source in self._sources if source[0] == domain]
        candidates = [self.identity_of(dataset, source) for at, source in sources if at == (dataset, column)]
        candidates.append(domain)
        candidates += [self.identity_of(at[0], source) for at, source in sources]
        found = next((identity for identity in candidates if identity in self.identities), None)
        return () if found is None else self.identities[found].normalize

    def _domain_columns(self) -> Iterator[tuple[str, str, str, str]]:
        """Give each use of a domain: domain, dataset, treated column, and the column whose values it is made of."""
        for name, dataset in self.datasets.items():
            for column, treated in dataset.columns.items():
                for domain, step in keyed_steps(column, treated):
                    yield domain, name, column, getattr(step.options, "per", column)


def keyed_steps(column: str, treated: ColumnPolicy) -> Iterator[tuple[str, StepSpec]]:
    """Give the steps that put a column into a domain (pseudonyms, tokens, hashes, shifts), with the domain."""
    for step in treated.anonymize or ():
        purpose, _, domain = (step.options.key_label(column) or "").partition("/")
        if purpose == step.name:
            yield domain, step
