"""Columns that do not hold identifiers as they are: pseudonymised ones are searched by pseudonym, cells decrypted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.keys.keyring import Keyring
from pydp_cli.pipeline.probing import Probed, ProbedFile, sampled
from pydp_cli.pipeline.readable import Readable, readable
from pydp_cli.pipeline.spellings import pseudonyms_of
from pydp_cli.policy.identity_text import identity_text
from pydp_cli.subjects.asked import AskedColumn, look_up
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
        self,
        dataset: str,
        schema: pa.Schema,
        sample: pa.RecordBatch | None,
        columns: list[str],
        asked: Sequence[AskedColumn] = (),
    ) -> Opened | None:
        """Give what decrypts the key columns of a file, if some hold cells; `asked` is what is looked for in them."""
        policy, keyring = self.catalogue.policy, self.keyring
        made = readable(policy, dataset, schema, keyring=keyring, columns=columns, sample=sample)
        if made is None or keyring is None:
            return None
        hidden: list[tuple[AskedColumn, Probed]] = []
        known = [one for one in asked if one.known is not None]
        for one in known:
            if one.column in made.decrypts and one.known is not None:
                exact = one.identity is None or not (one.identity.normalize or one.identity.type)
                probes = ProbedFile(policy, dataset, schema, keyring).probed(one.column, one.known.values, exact=exact)
                if probes is None:
                    return Opened(made)
                hidden.append((one, probes))
        return Opened(made, tuple(hidden), tuple(one for one in known if one.column not in made.decrypts), bool(known))


@dataclass(frozen=True)
class Opened:
    """Decrypts the key columns of a file, and where every one that is searched can be probed, only rows of interest."""

    readable: Readable
    hidden: tuple[tuple[AskedColumn, Probed], ...] = ()
    plain: tuple[AskedColumn, ...] = ()
    can_sift: bool = False

    @property
    def needs(self) -> tuple[str, ...]:
        """The columns that are needed to decrypt and to probe."""
        return tuple(dict.fromkeys([*self.readable.needs, *(probes.held_in for _, probes in self.hidden)]))

    @property
    def decrypts(self) -> tuple[str, ...]:
        """The columns that are decrypted."""
        return self.readable.decrypts

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Decrypt the columns of a batch."""
        return self.readable.apply(batch)

    def candidates(self, batch: pa.RecordBatch) -> pa.Array | None:
        """Give the rows in which something that is looked for may be; None where only decrypting all tells."""
        if not self.can_sift or not batch.num_rows:
            return None
        found = [hit.is_valid() for one in self.plain if (hit := look_up(one, batch.column(one.column))) is not None]
        for _, probes in self.hidden:
            may_hold = probes.may_hold(batch)
            if may_hold is None:
                return None
            found.append(may_hold)
        if self.hidden:
            few = sampled(batch)
            clear = self.readable.apply(few)
            if not all(
                probes.agrees(few, identity_text(clear.column(one.column), one.identity)) for one, probes in self.hidden
            ):
                return None
        either = pa.array(np.zeros(batch.num_rows, np.bool_))
        for rows in found:
            either = pc.or_(either, rows)
        return pc.indices_nonzero(either)
