import os
import random
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pydp_cli.errors import InputError, KeyringError, LimitReached, Refused, UsageError
from pydp_cli.policy.loader import load_policy
from pydp_cli.subjects.catalogue import catalogue_of
from pydp_cli.subjects.resolve import resolve
from pydp_cli.subjects.subject import Subject, parse_subjects, read_subjects
from tests.subjects.conftest import rows_of

ANNA = [
    ("customers", "a.parquet", 0),
    ("items", "items.parquet", 0),
    ("items", "items.parquet", 1),
    ("items", "items.parquet", 3),
    ("messages", "messages.csv", 0),
    ("messages", "messages.csv", 2),
    ("orders", "all.csv", 0),
    ("orders", "all.csv", 2),
    ("orders", "all.csv", 4),
]


@pytest.mark.parametrize(
    "given", ["customer_id=1", "email=anna@example.com", "email= ANNA@example.COM", "email=anna.b@example.org"]
)
def test_a_person_is_found_over_links_whatever_they_are_known_by(company, given):
    found = company.find(given)
    assert rows_of(found) == ANNA
    assert found.people[0].verdict == "found"
    assert found.people[0].identities["email"] == ("anna.b@example.org", "anna@example.com")


def test_the_trail_tells_how_rows_were_reached_without_values(company):
    found = company.find("customer_id=1")
    trail = [str(step) for step in found.trail]
    assert "customer_id → customers.id: 1 row, give email (1)" in trail
    assert "customer_id → orders.customer_id: 2 rows, give orders.id (2), email (1)" in trail
    assert "anna" not in " ".join(trail)


def test_rows_about_others_that_mention_a_person_lead_no_further(company):
    found = company.find("email=anna@example.com")
    assert ("messages", "messages.csv", 2) not in rows_of(found, mentions=False)
    assert "cy@example.com" not in found.people[0].identities["email"]


def test_null_empty_and_shared_values_never_join(company):
    assert rows_of(company.find("customer_id=3")) == [("customers", "a.parquet", 2)]
    assert rows_of(company.find("customer_id=4")) == [("customers", "b.parquet", 0)]
    assert rows_of(company.find("customer_id=0")) == [("customers", "b.parquet", 2), ("orders", "all.csv", 3)]


@pytest.mark.parametrize("given", ["email=", "email=  ", "email=INFO@acme.example"])
def test_what_identifies_nobody_is_refused(company, given):
    with pytest.raises(UsageError, match="identifies nobody"):
        company.find(given)


def test_an_unknown_identifier_is_refused_and_its_value_is_not_shown(company):
    with pytest.raises(UsageError) as caught:
        company.find("phone=12345")
    assert "12345" not in str(caught.value) + (caught.value.hint or "")


def test_nobody_found_is_an_answer(company):
    found = company.find("customer_id=999")
    assert (found.people[0].verdict, rows_of(found)) == ("not found", [])
    assert {matches.dataset for matches in found.files} == {"customers", "orders", "items", "messages"}


def test_two_customers_with_one_address_are_an_ambiguity(company):
    company.change_policy(", shared: [info@acme.example]", "")
    found = company.find("email=info@acme.example")
    assert found.people[0].verdict == "ambiguous"
    with pytest.raises(Refused, match="several customer_id"):
        found.require_unambiguous()
    merged = company.find("email=info@acme.example", merge=True)
    assert merged.people[0].verdict == "found"
    assert len(rows_of(merged)) == 2
    named = company.find(["customer_id=4", "customer_id=5"])
    named.require_unambiguous()


def test_without_links_the_first_identity_is_the_one_of_which_a_person_has_one(company):
    company.change_policy(", shared: [info@acme.example]", "")
    company.change_policy("    links: {customer_id: customers.id}\n", "")
    found = company.find("email=info@acme.example")
    with pytest.raises(Refused, match="several customer_id"):
        found.require_unambiguous()
    company.find(["customer_id=4", "customer_id=5"]).require_unambiguous()
    company.find("customer_id=1").require_unambiguous()  # who has two addresses


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.dictionary(pa.int8(), pa.binary())], ids=str)
@pytest.mark.parametrize("other", [b"4", b"\xff\xfe"])
def test_bytes_that_are_text_are_found_as_text(company, kind, other):
    """Impala, Hive and old Spark write text without saying that it is text."""
    plain = pa.array([b"1", other, None, b"1"], pa.binary())
    ids = plain.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else plain.cast(kind)
    company.write("data/customers/raw.parquet", pa.table({"id": ids, "email": pa.nulls(4, pa.string())}))
    assert [row for row in rows_of(company.find("customer_id=1")) if row[1] == "raw.parquet"] == [
        ("customers", "raw.parquet", 0),
        ("customers", "raw.parquet", 3),
    ]


def test_a_value_that_joins_strangers_stops_at_the_limit(company):
    many = [(100 + n, f"p{n}@example.com") for n in range(60)]
    company.write("data/customers/c.parquet", pa.table({"id": [n for n, _ in many], "email": [e for _, e in many]}))
    orders = "id,customer_id,email,total\n" + "".join(f"x{n},{n},all@example.com,1\n" for n, _ in many)
    company.write("data/orders/more.csv", orders)
    found = company.find("email=all@example.com", "customer_id=1")
    assert [person.verdict for person in found.people] == ["limit", "found"]
    assert rows_of(found, 1) == ANNA
    assert rows_of(found, 0) == []
    with pytest.raises(LimitReached):
        found.require_unambiguous()


def test_links_in_a_circle_end(company):
    company.change_policy(
        "links: {order_id: orders.id}", "links: {order_id: orders.id}\n    identifiers: {what: email}"
    )
    assert len(rows_of(company.find("customer_id=1"))) == len(ANNA)


def test_people_of_a_batch_are_told_apart(company):
    found = company.find("customer_id=1", "customer_id=2", "customer_id=77")
    assert rows_of(found, 0) == ANNA
    assert rows_of(found, 1) == [
        ("customers", "a.parquet", 1),
        ("items", "items.parquet", 2),
        ("messages", "messages.csv", 0),
        ("messages", "messages.csv", 1),
        ("orders", "all.csv", 1),
    ]
    assert rows_of(found, 2) == []


def test_one_person_named_twice_in_a_batch_is_one(company):
    found = company.find("customer_id=1", "email=anna.b@example.org")
    assert len(found.people) == 1
    assert found.person_of == (0, 0)
    assert rows_of(found, 1) == ANNA


@pytest.mark.parametrize(
    "kind",
    [pa.int8(), pa.uint64(), pa.float64(), pa.decimal128(9, 2), pa.string(), pa.large_string(), pa.string_view()],
)
def test_an_id_is_the_same_in_every_type(company, kind):
    ids = pa.array([Decimal(1), Decimal(2)] if pa.types.is_decimal(kind) else [1, 2])
    ids = ids.cast(pa.string() if pa.types.is_string_view(kind) else kind).cast(kind)
    company.write("data/customers/a.parquet", pa.table({"id": ids, "email": ["anna@example.com", None]}))
    assert rows_of(company.find("customer_id=1")) == ANNA


def test_dictionaries_and_slices_are_searched(company):
    ids = pa.array([9, 1, 2], pa.int64()).dictionary_encode().slice(1)
    company.write("data/customers/a.parquet", pa.table({"id": ids, "email": ["anna@example.com", None]}))
    assert rows_of(company.find("customer_id=1")) == ANNA


def test_a_whole_number_identity_takes_leading_zeros(company):
    company.change_policy("customer_id: {}", "customer_id: {type: int64}")
    company.write("data/orders/more.csv", "id,customer_id,email,total\nz,0001,,1\n")
    assert rows_of(company.find("customer_id=01")) == sorted([*ANNA, ("orders", "more.csv", 0)])


def test_compatibility_characters_and_case_compare_equal(company):
    assert rows_of(company.find("email=ＡＮＮＡ@example.com")) == ANNA


def test_a_partition_folder_can_be_an_identifier(company):
    company.write("data/logs/customer_id=1/x.parquet", pa.table({"page": ["a", "b"]}))
    company.write("data/logs/customer_id=2/x.parquet", pa.table({"page": ["c"]}))
    text = "  logs:\n    path: data/logs\n    identifiers: {customer_id: customer_id}\n    other_columns: keep\n"
    company.change_policy("  items:\n", text + "  items:\n")
    found = company.find("customer_id=1")
    assert [row for row in rows_of(found) if row[0] == "logs"] == [("logs", "x.parquet", 0), ("logs", "x.parquet", 1)]


def test_a_missing_column_is_an_error_with_its_file(company):
    company.write("data/customers/c.parquet", pa.table({"id": [1]}))
    with pytest.raises(InputError, match=r"c\.parquet: there is no column \"email\""):
        company.find("customer_id=1")


def test_a_nested_column_cannot_identify(company):
    company.write("data/customers/c.parquet", pa.table({"id": [[1]], "email": ["x"]}))
    with pytest.raises(UsageError, match="nested"):
        company.find("customer_id=1")


def test_a_dataset_without_files_holds_nothing(company):
    (company.folder / "data/items.parquet").unlink()
    assert [row for row in rows_of(company.find("customer_id=1")) if row[0] == "items"] == []


def treat(company, command, dataset, source, target):
    from pydp_cli.pipeline.transform_files import Request, transform_files

    request = Request(
        command=command,
        policy=load_policy(company.folder / "pydp.yml"),
        dataset=dataset,
        inputs=(str(company.folder / source),),
        output=str(company.folder / target),
    )
    transform_files(request, lambda: company.keyring)


def test_pseudonymised_keys_are_searched_whatever_else_the_dataset_has_rules_for(company):
    company.change_policy(
        "    columns:\n      id: keep\n",
        "    retention: {clock: total, keep: P1Y}\n    other_people: [total]\n    columns:\n      id: keep\n",
    )
    assert rows_of(company.find("customer_id=1", keyring=company.keyring)) == ANNA


def test_pseudonymised_copies_are_searched_under_their_key(company):
    treat(company, "anonymize", "customers", "data/customers/a.parquet", "data/copy.parquet")
    text = "  copy:\n    path: data/copy.parquet\n    links: {id: customers.id}\n    identifiers: {email: email}\n"
    company.change_policy("  items:\n", text + "    other_columns: keep\n  items:\n")
    for given in ("customer_id=1", "email=anna@example.com"):
        found = company.find(given, keyring=company.keyring)
        found.require_unambiguous()
        assert rows_of(found) == sorted([*ANNA, ("copy", "copy.parquet", 0)])
        assert found.people[0].identities["customer_id"] == ("1",)
    assert rows_of(company.find("customer_id=1")) == ANNA


@pytest.mark.parametrize("mode", ["random", "deterministic"])
@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_encrypted_columns_are_searched_under_their_key(company, mode, form):
    company.change_policy(
        "{anonymize: {pseudonym: {domain: email}}, category: pd:EmailAddress}",
        f"{{anonymize: keep, encrypt: {{mode: {mode}}}}}",
    )
    company.change_policy(
        "id: {anonymize: {pseudonym: {domain: customer}}}",
        f"id: {{anonymize: keep, encrypt: {{mode: {mode}, bind: [name]}}}}",
    )
    company.change_policy("data/customers/*.parquet", f"data/customers/*.{form}")
    for name in ("a", "b"):
        source, target = f"data/customers/{name}.parquet", f"data/customers/{name}.e.{form}"
        treat(company, "encrypt", "customers", source, target)
        (company.folder / source).unlink()
    expected = sorted([("customers", f"a.e.{form}", 0), *(row for row in ANNA if row[0] != "customers")])
    assert rows_of(company.find("customer_id=1", keyring=company.keyring)) == expected
    assert rows_of(company.find("email=anna.b@example.org", keyring=company.keyring)) == expected
    with pytest.raises(KeyringError, match="no keyring to read it with"):
        company.find("customer_id=1")


def test_row_groups_without_anybody_are_not_read_and_the_rest_is_right(company):
    ids = np.arange(100_000)
    table = pa.table({"id": ids, "email": pa.array([f"u{n}@example.com" for n in ids]), "name": ["x"] * len(ids)})
    pq.write_table(table, company.folder / "data/customers/a.parquet", row_group_size=10_000)
    company.change_policy("identifiers: {id: customer_id, email: email}", "identifiers: {id: customer_id}")
    found = company.find("customer_id=55555")
    assert rows_of(found) == [("customers", "a.parquet", 55_555)]
    assert found.of_dataset("customers")[0].num_rows == 100_000


@pytest.mark.parametrize("ending", ["\n", ""])
@pytest.mark.parametrize("quoted", [False, True])
def test_blocks_of_text_without_anybody_are_not_parsed_and_positions_stay_right(company, ending, quoted):
    lines = [f"o{number},{number + 10},x{number}@example.com,1.00" for number in range(200_000)]  # three blocks
    lines[150_000] = "o,7777777,,1.00"
    lines[80_000] = 'o,,"two\nlines",' if quoted else lines[80_000]
    company.write("data/orders/all.csv", "id,customer_id,email,total\n" + "\n".join(lines) + ending)
    company.change_policy(
        "    identifiers: {email: email}\n    purposes: [service, accounting]", "    purposes: [service]"
    )
    company.change_policy(
        "  items:\n    path: data/items.parquet\n    links: {order_id: orders.id}\n",
        "  items:\n    path: data/items.parquet\n",
    )
    found = company.find("customer_id=7777777", "customer_id=190010")
    assert rows_of(found, 0) == [("orders", "all.csv", 150_000)]
    assert rows_of(found, 1) == [("orders", "all.csv", 190_000)]
    assert found.of_dataset("orders")[0].num_rows == 200_000


@pytest.mark.parametrize("groups", [1, 3, 7])
def test_shares_of_a_large_file_are_searched_at_the_same_time(company, monkeypatch, groups):
    ids = [1 if row % 97 == 0 else row + 100 for row in range(1_000)]
    emails = pa.array([f"u{row}@example.com" if row % 194 == 0 else None for row in range(1_000)], pa.string())
    table = pa.table({"id": ids, "email": emails, "name": ["x"] * 1_000})
    path = company.folder / "data/customers/a.parquet"
    pq.write_table(table, path, row_group_size=-(-1_000 // groups))
    whole = company.find("customer_id=1")
    monkeypatch.setattr("pydp_cli.subjects.search.LARGE_BYTES", 0)
    shared = company.find("customer_id=1")
    assert rows_of(shared) == rows_of(whole)
    assert [row for _, name, row in rows_of(shared) if name == "a.parquet"] == list(range(0, 1_000, 97))
    assert [matches.num_rows for matches in shared.files] == [matches.num_rows for matches in whole.files]
    assert shared.people == whole.people
    assert shared.trail == whole.trail


def test_a_damaged_page_is_told_with_its_file(company):
    path = company.folder / "data/customers/a.parquet"
    pq.write_table(pq.read_table(path), path, use_dictionary=False, compression="zstd", write_page_checksum=True)
    column = pq.read_metadata(path).row_group(0).column(0)
    data = bytearray(path.read_bytes())
    data[column.data_page_offset + column.total_compressed_size - 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(Refused, match="checksum is wrong") as told:
        company.find("customer_id=1")
    assert told.value.place == f"{path}, row group 1"


def test_files_are_searched_at_the_same_time_and_found_in_order(company):
    for number in range(30):
        company.write(
            f"data/orders/{number:02}.csv", f"id,customer_id,email,total\nx{number},1,,1.00\ny{number},2,,2.00\n"
        )
    found = company.find("customer_id=1")
    names = [matches.file.path.rsplit("/", 1)[-1] for matches in found.of_dataset("orders")]
    assert names == [*(f"{number:02}.csv" for number in range(30)), "all.csv"]
    assert [len(matches.rows) for matches in found.of_dataset("orders")] == [*[1] * 30, 3]


def test_a_file_of_people_is_read(company):
    path = company.write("people.csv", "customer_id,email\n1,\n,bo@example.com\n")
    catalogue = company.catalogue()
    assert read_subjects(path, catalogue) == [
        Subject((("customer_id", "1"),)),
        Subject((("email", "bo@example.com"),)),
    ]


@pytest.mark.parametrize("content", ["", "customer_id,email\n,\n", "customer_id\n1,2\n", "phone\n1\n"])
def test_a_file_of_people_that_says_nothing_is_refused_with_its_line(company, content):
    with pytest.raises((InputError, UsageError)):
        read_subjects(company.write("people.csv", content), company.catalogue())


def slow_resolve(tables, keys, given):
    """The definition: values of a person spread over rows until nothing changes. One person at a time, row by row."""
    known = {given}
    rows = set()
    while True:
        before = len(known) + len(rows)
        for name, table in tables.items():
            for number, row in enumerate(table):
                values = {(space, row[at]) for at, space in enumerate(keys[name]) if row[at] is not None}
                if values & known:
                    known |= values
                    rows.add((name, number))
        if len(known) + len(rows) == before:
            return rows


@pytest.mark.parametrize("seed", range(15))
def test_batches_agree_with_the_definition(tmp_path, seed):
    chance = random.Random(seed)
    keys = {"one": ("a", "b"), "two": ("b", "c"), "three": ("a", "c")}
    tables = {
        name: [[chance.choice([None, *map(str, range(40))]) for _ in spaces] for _ in range(12)]
        for name, spaces in keys.items()
    }
    lines = ["version: 1", "identities: {a: {}, b: {}, c: {}}", "datasets:"]
    for name, spaces in keys.items():
        pq.write_table(
            pa.table(
                {space: pa.array([row[at] for row in tables[name]], pa.string()) for at, space in enumerate(spaces)}
            ),
            tmp_path / f"{name}.parquet",
            row_group_size=5,
        )
        names = ", ".join(f"{space}: {space}" for space in spaces)
        lines.append(f"  {name}: {{path: {name}.parquet, other_columns: keep, identifiers: {{{names}}}}}")
    (tmp_path / "pydp.yml").write_text("\n".join(lines) + "\n")
    catalogue = catalogue_of(load_policy(tmp_path / "pydp.yml"))
    given = [(space, str(number)) for space in "abc" for number in range(0, 40, 7)]
    found = resolve(catalogue, [parse_subjects([f"{s}={v}"], catalogue) for s, v in given], max_identities=10**6)
    for number, pair in enumerate(given):
        mine = {(name, row) for name, _, row in rows_of(found, number)}
        assert mine == slow_resolve(tables, keys, pair)


def partitioned(company, **folders):
    """Keep a dataset in folders named after customers, with a note of the address that they wrote from."""
    text = "  seen:\n    path: data/seen\n    identifiers: {customer_id: customer_id, email: email}\n"
    company.change_policy("  items:\n", text + "    other_columns: keep\n  items:\n")
    for value, table in folders.items():
        company.write(f"data/seen/customer_id={value}/a.parquet", pa.table(table))


def test_the_folder_of_rows_without_a_value_joins_nobody(company):
    """Hive and Spark have a name for it, which is nobody's."""
    others = ["bo@example.com", "x@example.com", "anna@example.com", None]
    partitioned(company, __HIVE_DEFAULT_PARTITION__={"email": others})
    found = company.find("email=anna@example.com")
    assert rows_of(found) == sorted([*ANNA, ("seen", "a.parquet", 2)])
    assert found.people[0].identities["customer_id"] == ("1",)


@pytest.mark.parametrize("values", [[1, 1], [1, 2], [1, None], [2, 2]])
def test_rows_must_say_what_the_name_of_their_folder_says(company, values):
    partitioned(company, **{"1": {"email": pa.nulls(2, pa.string()), "customer_id": values}})
    if values == [1, 1]:
        assert len(rows_of(company.find("customer_id=1"))) == len(ANNA) + 2
    else:
        with pytest.raises(InputError, match="another value than the name of their folder"):
            company.find("customer_id=2")


@pytest.mark.parametrize(
    "ids",
    [
        pa.array([77.0, float("nan"), float("nan"), None]),
        pa.array([77.0, float("nan"), float("nan"), None], pa.float32()),
        pa.array(["77", " ", " ", "\t\n"]),
        pa.array(["77", "\u00a0\u2003", "\u00a0\u2003", ""]),
    ],
    ids=["nan", "nan32", "blank", "unicode blanks"],
)
def test_what_is_no_value_joins_nobody(company, ids):
    """Pandas writes NaN where a number is missing; forms are filled in with a blank."""
    emails = ["a@example.org", "anna@example.com", "x@example.com", "y@example.com"]
    company.write("data/customers/c.parquet", pa.table({"id": ids, "email": emails}))
    found = company.find("email=anna@example.com")
    assert [row for row in rows_of(found) if row[1] == "c.parquet"] == [("customers", "c.parquet", 1)]
    assert found.people[0].identities["customer_id"] == ("1",)


@pytest.mark.parametrize(("content", "place"), [("customer_id;x\n1\n", ":1"), ('email\na@b.org\n"c\n', ":3")])
def test_a_heading_and_a_quote_that_are_wrong_are_told_with_their_line(company, content, place):
    path = company.write("people.csv", content)
    with pytest.raises((InputError, UsageError)) as caught:
        read_subjects(path, company.catalogue())
    assert caught.value.place == f"{path}{place}"


def test_an_identifier_in_bytes_that_are_no_text_is_refused(company):
    with pytest.raises(UsageError, match="not UTF-8"):
        parse_subjects([os.fsdecode(b"email=x\xff@example.com")], company.catalogue())
