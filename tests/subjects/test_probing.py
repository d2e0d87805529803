"""People are found in encrypted columns as they are in clear ones, without decrypting more than their rows."""

import random

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from pydp_cli.errors import Refused, WrongKey
from pydp_cli.keys.changes import with_new_version, with_state
from pydp_cli.pipeline.readable import Readable
from tests.subjects.test_export import export, lines
from tests.subjects.test_resolve import treat

CLEAR = """version: 1
keyring: pydp.keyring
identities: {customer_id: {}, email: {normalize: [strip, casefold]}}
datasets:
  people:
    path: data/clear.FORM
    identifiers: {id: customer_id, email: email}
    columns:
      id: ID
      email: EMAIL
      city: keep
  orders:
    path: data/orders.csv
    links: {customer: people.id}
    columns: {customer: keep, what: keep}
"""
KEEP = "{anonymize: keep}"
ROWS = 5_000
WAYS = {
    "deterministic": (
        "{anonymize: keep, encrypt: deterministic}",
        "{anonymize: keep, encrypt: {blind_index: {bits: 8}}}",
    ),
    "padded": (
        "{anonymize: keep, encrypt: {mode: deterministic, pad: 32, nulls: encrypt, domain: ids}}",
        "{anonymize: keep, encrypt: {mode: deterministic, blind_index: {population: 10000}}}",
    ),
    "preserved": ("{anonymize: keep, encrypt: fpe}", "{anonymize: keep, encrypt: {blind_index: {bits: 100}}}"),
}


def people(seed=1):
    draw = random.Random(seed)
    ids = [f"{draw.randrange(10**7, 10**7 + 3_000)}" for _ in range(ROWS)]
    emails = [None if draw.random() < 0.1 else f"{draw.choice(['U', 'u'])}{one}@example.com" for one in ids]
    return pa.table({"id": ids, "email": pa.array(emails, pa.string()), "city": ["x"] * ROWS})


@pytest.fixture
def seal(company):
    """Give what writes a file of people in clear and encrypted, and asks who is found in either."""

    def make(way, form, table=None):
        table = people() if table is None else table
        company.write(
            "data/orders.csv", "customer,what\n" + "".join(f"{one},x\n" for one in table["id"].to_pylist()[:9])
        )
        write = pq.write_table if form == "parquet" else pc.write_csv
        write(table, company.folder / f"data/clear.{form}")
        identities, emails = WAYS[way]
        clear = CLEAR.replace("FORM", form)
        company.write("pydp.yml", clear.replace("ID", identities).replace("EMAIL", emails))
        treat(company, "encrypt", "people", f"data/clear.{form}", f"data/sealed.{form}")
        sealed = (company.folder / "pydp.yml").read_text().replace("data/clear", "data/sealed")
        company.write("pydp.yml", clear.replace("ID", KEEP).replace("EMAIL", KEEP))
        return sealed

    return make


def found(company, *given):
    resolution = company.find(*given, keyring=company.keyring, merge=True)
    rows = [
        (matches.dataset, person, row)
        for matches in resolution.files
        for person in range(len(resolution.people))
        for row in matches.of(person).to_pylist()
    ]
    return [person.identities for person in resolution.people], rows


@pytest.fixture
def decrypted(monkeypatch):
    """Count the rows that are decrypted."""
    counts = []
    apply = Readable.apply

    def counted(self, batch):
        counts.append(batch.num_rows)
        return apply(self, batch)

    monkeypatch.setattr(Readable, "apply", counted)
    return counts


@pytest.mark.parametrize(
    ("way", "form", "most"),
    [
        ("deterministic", "parquet", ROWS),
        ("deterministic", "csv", ROWS),
        ("padded", "parquet", ROWS),
        ("padded", "csv", ROWS),
        ("preserved", "parquet", ROWS),
        ("preserved", "csv", 4 * ROWS),  # which does not tell the version of its key: it is decrypted
    ],
)
def test_who_is_found_by_probes_is_who_is_found_in_clear(company, seal, decrypted, way, form, most):
    sealed = seal(way, form)
    ids = people()["id"].to_pylist()
    emails = [one for one in people()["email"].to_pylist() if one]
    given = [[f"customer_id={one}"] for one in ids[:3]] + [[f"email={one.upper()}"] for one in emails[-3:]]
    given.append(["customer_id=1"])
    expected = found(company, *given)
    assert not decrypted
    company.write("pydp.yml", sealed)
    assert found(company, *given) == expected
    assert 0 < sum(decrypted) < most


def test_cells_under_older_versions_are_probed_for_too(company, seal, decrypted):
    sealed = seal("deterministic", "parquet")
    company.write("pydp.yml", sealed)
    expected = found(company, ["customer_id=10000007"])
    decrypted.clear()
    name = company.keyring.key_for("cell", "people")
    ring = with_new_version(company.keyring, name)
    company.keyring = with_state(ring, ring.keys[name][-1].key_id, "primary")
    assert found(company, ["customer_id=10000007"]) == expected
    assert sum(decrypted) < ROWS


def test_cells_under_a_version_that_cannot_be_used_are_refused(company, seal):
    company.write("pydp.yml", seal("deterministic", "parquet"))
    name = company.keyring.key_for("cell", "people")
    ring = with_new_version(company.keyring, name)
    old = ring.primary(name).key_id
    company.keyring = with_state(with_state(ring, ring.keys[name][-1].key_id, "primary"), old, "disabled")
    with pytest.raises(WrongKey):
        found(company, ["customer_id=10000007"])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("encrypt: deterministic", "encrypt: {mode: deterministic, pad: 64}"),
        ("encrypt: deterministic", "encrypt: true"),
        ("{bits: 8}", "{bits: 16}"),
    ],
)
def test_where_the_policy_changed_since_nobody_is_missed(company, seal, decrypted, old, new):
    sealed = seal("deterministic", "csv")
    company.write("pydp.yml", sealed)
    expected = found(company, ["customer_id=10000007"])
    assert expected[1]
    decrypted.clear()
    assert old in sealed
    company.write("pydp.yml", sealed.replace(old, new))
    assert found(company, ["customer_id=10000007"]) == expected
    assert sum(decrypted) >= ROWS


def test_values_that_are_not_cells_among_cells_are_refused_and_never_passed_over(company, seal):
    sealed = seal("deterministic", "csv")
    path = company.folder / "data/sealed.csv"
    text = path.read_text().splitlines()
    path.write_text(
        "\n".join([*text[:3000], text[1].replace(text[1].split(",")[0], '"10000007"', 1), *text[3000:]]) + "\n"
    )
    company.write("pydp.yml", sealed)
    with pytest.raises(Refused):
        found(company, ["customer_id=10000007"])


def test_a_copy_has_neither_ciphertexts_nor_hashes_of_them(company, seal):
    for form in ("parquet", "csv"):
        company.write("pydp.yml", seal("preserved", form))
        one = people()["id"][0].as_py()
        path, _ = export(company, f"customer_id={one}", name=f"{form}.zip")
        wanted = [row for row in people().to_pylist() if row["id"] == one]
        assert [{**row, "email": row["email"] or None} for row in lines(path, "data/people.jsonl")] == wanted
