"""Columns that do not hold identifiers as they are: pseudonymised ones are searched by pseudonym, cells decrypted."""

from __future__ import annotations

import pyarrow as pa

from pydp_cli.keys.keyring import Keyring
from pydp_cli.pipeline.readable import Readable, readable
from pydp_cli.pipeline.spellings import pseudonyms_of
from pydp_cli.policy.identity_text import identity_text
from pydp_cli.subjects.catalogue import Catalogue
from pydp_cli.subjects.known import Known, People


class Treated:
    """Knows how values look in treated columns; without a keyring they are looked for as they are."""

    def __init__(self, catalogue: Catalogue, keyring: Keyring | None) -> None:
        self.catalogue, self.keyring = catalogue, keyring
        self._spelled: dict[str, set[str]] = {}

    def spell(self, space: str, known: Known, people: People) -> None:
        """Add the pseudonyms of the values that are new in a space."""
        if self.keyring is None:
            return
        done = self._spelled.setdefault(space, set())
        new = [value for value in known.values if value not in done]
        if not new:
            return
        done.update(new)
        values = pa.array(new, pa.string())
        identity = self.catalogue.identity(space)
        for key in self.catalogue.keys_in(space):
            for spelled in pseudonyms_of(self.catalogue.policy, key.dataset, key.column, values, self.keyring):
                known.add_forms(zip(identity_text(spelled, identity).to_pylist(), new, strict=True), people)

    def decoder(
        self, dataset: str, schema: pa.Schema, sample: pa.RecordBatch | None, columns: list[str]
    ) -> Readable | None:
        """Give what decrypts the key columns of a file, if some hold cells."""
        return readable(self.catalogue.policy, dataset, schema, keyring=self.keyring, columns=columns, sample=sample)
