"""A small company's data: customers, orders, items, messages, each its own format."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pydp_cli.policy.loader import load_policy
from pydp_cli.subjects.catalogue import catalogue_of
from pydp_cli.subjects.resolve import resolve
from pydp_cli.subjects.subject import parse_subjects
from tests.keys.rings import make_place

POLICY = """version: 1
keyring: pydp.keyring
controller: {name: Acme GmbH, dpo: dpo@acme.example, regimes: [eu-gdpr]}
identities:
  customer_id: {}
  email: {normalize: [nfkc, strip, casefold], shared: [info@acme.example]}
purposes:
  service: {basis: contract, description: To serve you, recipients: [Parcel Ltd]}
  accounting: {basis: legal-obligation, reference: HGB 257, keep: P10Y}
  marketing: {basis: consent}
datasets:
  customers:
    path: data/customers/*.parquet
    identifiers: {id: customer_id, email: email}
    purposes: [service, marketing]
    columns:
      id: {anonymize: {pseudonym: {domain: customer}}}
      email: {anonymize: {pseudonym: {domain: email}}, category: pd:EmailAddress}
      name: {anonymize: redact, category: pd:Name}
  orders:
    path: data/orders/*.csv
    links: {customer_id: customers.id}
    identifiers: {email: email}
    purposes: [service, accounting]
    columns:
      id: keep
      customer_id: {anonymize: {pseudonym: {domain: customer}}}
      email: {anonymize: {pseudonym: {domain: email}}}
      total: keep
  items:
    path: data/items.parquet
    links: {order_id: orders.id}
    columns: {order_id: keep, what: keep}
  messages:
    path: data/messages.csv
    identifiers: {sender: email, receiver: email}
    other_people: [receiver]
    columns: {sender: keep, receiver: keep, text: keep}
"""
CUSTOMERS = {
    "a": [(1, "Anna@Example.com", "Anna"), (2, "bo@example.com", "Bo"), (3, None, "Cy")],
    "b": [(4, "info@acme.example", "Di"), (5, "info@acme.example", "Ed"), (0, "", "Fay")],
}
ORDERS = """id,customer_id,email,total
o1,1,anna@example.com,10.00
o2,2,,20.00
o3,1,anna.b@example.org,5.50
o4,0,,1.00
o5,,anna.b@example.org,7.00
"""
ITEMS = [("o1", "lamp"), ("o1", "desk"), ("o2", "chair"), ("o5", "pen"), (None, "lost")]
MESSAGES = """sender,receiver,text
anna@example.com,bo@example.com,hello
bo@example.com,cy@example.com,"how are, you"
cy@example.com,ANNA@example.com,fine
"""


@dataclass
class Company:
    folder: Path
    keyring: object

    def write(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, pa.Table):
            pq.write_table(content, path)
        else:
            path.write_text(content, encoding="utf-8")
        return path

    def catalogue(self):
        return catalogue_of(load_policy(self.folder / "pydp.yml"))

    def change_policy(self, old, new):
        text = (self.folder / "pydp.yml").read_text()
        assert old in text
        self.write("pydp.yml", text.replace(old, new))

    def find(self, *people, **options):
        """Resolve people, each one or several ID=VALUE."""
        catalogue = self.catalogue()
        subjects = [parse_subjects([one] if isinstance(one, str) else one, catalogue) for one in people]
        return resolve(catalogue, subjects, **options)


def rows_of(found, person=0, *, mentions=True):
    """Give the rows of a person: dataset and position, in order."""
    return sorted(
        (matches.dataset, matches.file.path.rsplit("/", 1)[-1], row)
        for matches in found.files
        for row in matches.of(found.person_of[person], mentions=mentions).to_pylist()
    )


@pytest.fixture(scope="session")
def ring(tmp_path_factory):
    return make_place(tmp_path_factory.mktemp("ring"))


@pytest.fixture
def company(tmp_path, ring):
    made = Company(tmp_path, ring.open())
    made.write("pydp.yml", POLICY)
    for name, rows in CUSTOMERS.items():
        columns = dict(zip(("id", "email", "name"), map(list, zip(*rows, strict=True)), strict=True))
        made.write(f"data/customers/{name}.parquet", pa.table(columns))
    made.write("data/orders/all.csv", ORDERS)
    made.write("data/items.parquet", pa.table({"order_id": [o for o, _ in ITEMS], "what": [w for _, w in ITEMS]}))
    made.write("data/messages.csv", MESSAGES)
    return made
