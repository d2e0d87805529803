"""A starter policy names every column, suggests what is plain, leaves the rest to be decided, and shows no value."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.policy.checks import check_policy, check_schema
from pydp_cli.policy.loader import parse_policy
from pydp_cli.policy.starter import mask_shape, starter_policy

CUSTOMERS = pa.table(
    {
        "id": pa.array([17, 23, 42]),
        "EMail": ["ada@lovelace.org", "grace@navy.mil", None],
        "phone_no": ["+49 30 1234567", "+1 202 555 0101", "+44 20 7946 0958"],
        "name": ["Ada Lovelace", "Grace Hopper", "Alan Turing"],
        "product_name": ["Lamp", "Chair", "Desk"],
        "iban": ["DE89370400440532013000", "GB29NWBK60161331926819", None],
        "payment": ["4111111111111111", "5500005555555559", "4111 1111 1111 1111"],
        "number": ["4111111111111112", "1234567890123456", "7777777777777777"],
        "birth_date": pa.array([1, 2, 3], pa.int32()).cast(pa.date32()),
        "closed_at": ["2026-01-01", "2026-01-02", None],
        "zip": ["10115", "SW1A 1AA", "75001"],
        "last_ip": ["192.0.2.1", "2001:db8::1", "198.51.100.7"],
        "homepage": ["https://ada.example/a?b=c", "http://x.example", None],
        "note": [
            "called Ada Lovelace on Monday about it",
            "wants her money back by tomorrow",
            "moved to a new flat in May",
        ],
        "tags": pa.array([["a"], [], None]),
        "salary": [1.5, 2.5, 3.5],
        "NO": ["x", "y", "z"],
        "odd: #name": ["x", "y", "z"],
    }
)
ORDERS = pa.table({"order_id": ["a1", "a2"], "customer_id": ["17", "17"], "total": ["1.50", "2.50"]})
FILES = [("data/customers.parquet", CUSTOMERS.schema, CUSTOMERS), ("data/orders.csv", ORDERS.schema, ORDERS)]


def treatments(policy, dataset):
    columns = policy.datasets[dataset].columns
    return {name: "decide" if c.decide else c.anonymize[0].name for name, c in columns.items()}


def test_what_is_plain_is_suggested():
    policy = parse_policy(starter_policy(FILES).encode())
    assert treatments(policy, "customers") == {
        "id": "pseudonym", "EMail": "pseudonym", "phone_no": "mask", "name": "name", "product_name": "decide",
        "iban": "iban", "payment": "card", "number": "decide", "birth_date": "date", "closed_at": "decide",
        "zip": "prefix", "last_ip": "ip", "homepage": "url", "note": "free_text", "tags": "decide", "salary": "decide",
        "NO": "decide", "odd: #name": "decide",
    }  # fmt: skip
    assert treatments(policy, "orders") == {"order_id": "decide", "customer_id": "pseudonym", "total": "decide"}


def test_id_columns_that_files_share_are_linked_in_one_domain():
    policy = parse_policy(starter_policy(FILES).encode())
    assert policy.datasets["orders"].links == {"customer_id": "customers.id"}
    assert policy.datasets["customers"].identifiers["id"] == "customer_id"
    steps = [policy.datasets["customers"].columns["id"], policy.datasets["orders"].columns["customer_id"]]
    assert {column.anonymize[0].options.domain for column in steps} == {"customer"}


def test_id_columns_of_one_name_are_linked_to_the_file_where_they_are_unique():
    visits = pa.table({"patient_id": ["a", "a", "b"]})
    patients = pa.table({"patient_id": ["a", "b"]})
    files = [("visits.csv", visits.schema, visits), ("patients.csv", patients.schema, patients)]
    policy = parse_policy(starter_policy(files).encode())
    assert policy.datasets["visits"].links == {"patient_id": "patients.patient_id"}


def test_only_what_is_to_be_decided_is_rejected():
    policy = parse_policy(starter_policy(FILES).encode())
    problems = check_policy(policy)
    for (_, schema, _), name in zip(FILES, policy.datasets, strict=True):
        problems += check_schema(policy, name, schema)
    assert problems
    assert all("is still to be decided" in problem.message for problem in problems)


def test_no_value_of_the_sample_appears():
    text = starter_policy(FILES)
    for column in CUSTOMERS.columns[1:]:
        for value in column.to_pylist():
            if isinstance(value, str) and len(value) > 1:
                assert value not in text
    assert "Lovelace" not in text
    assert "like xxx@xxxxxxxx.xxx | xxxxx@xxxx.xxx" in text


def test_a_file_without_rows_is_suggested_by_names():
    schema = pa.schema([("email", pa.string()), ("x", pa.string())])
    policy = parse_policy(starter_policy([("a.csv", schema, schema.empty_table())]).encode())
    assert treatments(policy, "a") == {"email": "pseudonym", "x": "decide"}


def test_files_of_one_name_are_datasets_of_their_own():
    schema = pa.schema([("x", pa.string())])
    files = [(f"{folder}/data.csv", schema, schema.empty_table()) for folder in "ab"]
    assert list(parse_policy(starter_policy(files).encode()).datasets) == ["data", "data_2"]


def test_a_file_without_columns_loads():
    assert parse_policy(starter_policy([("a.csv", pa.schema([]), pa.table({}))]).encode()).datasets["a"].columns == {}
    assert parse_policy(starter_policy([]).encode()).datasets == {}


@pytest.mark.parametrize(
    ("value", "shape"),
    [("Ada-7", "Xxx-9"), ("straße 9", "xxxxxx 9"), ("日本٣", "xx9"), ("a#b\n", "x?x?"), ("x" * 50, "x" * 40 + "…")],
)
def test_a_shape_shows_no_letter_and_no_digit(value, shape):
    assert mask_shape(value) == shape


@given(st.text())
def test_a_shape_has_only_a_few_characters(value):
    assert set(mask_shape(value)) <= set("xX9? .,;:@/+-_()…")


COLUMNS = st.one_of(
    st.lists(st.none() | st.text(max_size=30), min_size=2, max_size=2).map(
        lambda values: pa.array(values, pa.string())
    ),
    st.lists(st.none() | st.integers(0, 9), min_size=2, max_size=2).map(lambda values: pa.array(values, pa.int64())),
    st.just(pa.array([[1], None])),
    st.just(pa.array([None, None])),
    st.just(pa.array(["a", "b"]).dictionary_encode()),
)
NAMES = st.text(min_size=1, max_size=10) | st.sampled_from(
    ["id", "email", "customer_id", "phone", "note", "card", "name"]
)


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12),
            st.dictionaries(NAMES, COLUMNS, max_size=4),
        ),
        max_size=3,
    )
)
def test_any_files_give_a_policy_that_loads(files):
    tables = [(path or "x", pa.table(columns)) for path, columns in files]
    policy = parse_policy(starter_policy([(path, table.schema, table) for path, table in tables]).encode())
    for (_, table), dataset in zip(tables, policy.datasets.values(), strict=True):
        assert list(dataset.columns) == table.column_names
    problems = check_policy(policy)
    expected = ("decided", "in common", "nobody can be found", "no dataset claims", "is partitioned by")
    assert all(any(words in problem.message for words in expected) for problem in problems)
