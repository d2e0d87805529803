"""What is wrong with a policy is found before a row is read: by itself, and against the schema of the data."""

import math

import pyarrow as pa
import pytest

from pydp_cli.policy.checks import bits_needed, check_policy, check_schema, collision_probability
from pydp_cli.policy.loader import parse_policy
from tests.policy.examples import EXAMPLE, policy_with

CUSTOMERS = pa.schema(
    [
        ("id", pa.int64()), ("email", pa.large_string()), ("phone", pa.string()), ("name", pa.string_view()),
        ("card", pa.string()), ("birth_date", pa.date32()), ("visited_at", pa.timestamp("us")),
        ("zip", pa.dictionary(pa.int8(), pa.string())), ("salary", pa.decimal128(10, 2)), ("note", pa.string()),
        ("country", pa.string()), ("closed_at", pa.date32()),
    ]
)  # fmt: skip


def told(problems, severity="error"):
    return [problem.message for problem in problems if problem.severity == severity]


def check(text, severity="error"):
    return told(check_policy(parse_policy(text.encode())), severity)


def check_columns(columns, schema, *, severity="error", **more):
    policy = parse_policy(policy_with(columns, **more).encode())
    return told(check_schema(policy, "people", pa.schema(schema)), severity)


def test_the_example_has_no_problems():
    policy = parse_policy(EXAMPLE.encode())
    assert check_policy(policy) == []
    assert check_schema(policy, "customers", CUSTOMERS) == []
    text = pa.schema([(name, pa.string()) for name in ("order_id", "customer_id", "total", "ordered_at")])
    assert check_schema(policy, "orders", text) == []


def test_a_problem_has_its_place_and_a_hint():
    policy = parse_policy(policy_with(["emial: keep"]).encode())
    problems = check_schema(policy, "people", pa.schema([("email", pa.string())]))
    assert [(p.place, p.message, p.hint) for p in problems] == [
        ("pydp.yml:6:7", 'the data has no column "emial"', 'did you mean "email"?'),
        ("pydp.yml:5:5", 'column "email" is in the data, and not in the policy', 'did you mean "emial"?'),
    ]


def test_a_step_in_a_list_is_pointed_at():
    policy = parse_policy(policy_with(["a:", "  anonymize:", "    - keep", "    - {name: initials}"]).encode())
    problems = check_schema(policy, "people", pa.schema([("a", pa.int64())]))
    assert [problem.place for problem in problems] == ["pydp.yml:9:14"]


@pytest.mark.parametrize("rest", ["keep", "drop"])
def test_unnamed_columns_are_refused_unless_the_policy_says_what_happens_to_them(rest):
    schema = [("a", pa.string()), ("b", pa.string())]
    assert check_columns(["a: keep"], schema) == ['column "b" is in the data, and not in the policy']
    assert check_columns(["a: keep"], schema, dataset=f"    other_columns: {rest}\n") == []
    assert check_columns(["c: keep"], schema, dataset=f"    other_columns: {rest}\n") == ['the data has no column "c"']


def test_two_columns_of_one_name_are_refused():
    assert check_columns(["a: keep"], [("a", pa.string()), ("a", pa.string())]) == ['the data has 2 columns named "a"']


def test_a_column_must_say_what_anonymize_does_to_it():
    policy = parse_policy(policy_with(["a: {encrypt: true}", "b: {type: date}", "c: decide"]).encode())
    schema = pa.schema([(name, pa.string()) for name in "abc"])
    undecided = 'column "c" is still to be decided'
    missing = ['column "a" has no `anonymize`', 'column "b" has no `anonymize`']
    assert told(check_schema(policy, "people", schema)) == [*missing, undecided]
    assert told(check_schema(policy, "people", schema, purpose="encrypt")) == [undecided]
    assert check(policy_with(["a: keep", "c: decide"])) == [undecided]


@pytest.mark.parametrize(
    ("column", "kind", "message"),
    [
        ("a: {mask: 4}", pa.int64(), 'column "a": transform "mask" takes text, not int64'),
        ("a: {bin: 5}", pa.list_(pa.int64()), 'column "a": transform "bin" takes number, not list<item: int64>'),
        ("a: [{date: year}, {mask: 1}]", pa.string(), 'column "a": transform "mask" takes text, not date32[day]'),
        ("a: [drop, redact]", pa.string(), '"redact" comes after the column is dropped'),
        ("a: {date_shift: {within: P30D, per: id}}", pa.date32(),
         '"date_shift" reads column "id", which the data does not have'),
        ("a: {type: int64, anonymize: keep}", pa.list_(pa.int64()),
         'column "a" is declared int64, and is list<item: int64> in the data'),
        ("a: {redact: {}, when: b == 1}", pa.string(), 'condition, character 1: there is no column "b"'),
        ("a: {redact: {}, when: a == 1}", pa.string(),
         'condition, character 6: column "a" is text, and is compared with a number'),
        ("a: {drop: {}, when: a is null}", pa.string(), 'column "a": "drop" has a condition and drops the column'),
        ("a: {date: {truncate: year}, when: a is null}", pa.string(), None),
        ("a: {age_from: 2026-01-01, when: a is null}", pa.date32(),
         'column "a": "age_from" has a condition and makes int32 of date'),
        ("a: {encrypt: {bind: [b]}, anonymize: keep}", pa.string(), '`bind` names "b", which the data does not have'),
        ("a: keep", pa.struct([("b", pa.int64())]), None),
        ("a: drop", pa.map_(pa.string(), pa.int64()), None),
        ("a: {type: decimal(12,2), anonymize: {round: 1}}", pa.string(), None),
        ("a: {type: int64, anonymize: {redact: {}, when: a > 5}}", pa.string(), "redact"),
    ],
)  # fmt: skip
def test_types_are_followed_through_the_steps(column, kind, message):
    found = check_columns([column], [("a", kind)])
    if message == "redact":
        assert all("compared" not in problem for problem in found)
    else:
        assert found == ([] if message is None else [message])


def test_a_declared_type_that_is_nearly_the_stored_one_is_a_warning():
    assert check_columns(
        ["a: {type: timestamp, anonymize: keep}"], [("a", pa.timestamp("ns"))], severity="warning"
    ) == ['column "a" is declared timestamp, and is timestamp[ns] in the data']


def test_conditions_on_rows_are_checked():
    dataset = '    keep_rows: age > 17\n    drop_rows: nam == "x"\n'
    assert check_columns(
        ["name: keep", "age: keep"], [("name", pa.string()), ("age", pa.string())], dataset=dataset
    ) == [
        'condition, character 7: column "age" is text, and is compared with a number',
        'condition, character 1: there is no column "nam"',
    ]


def test_names_elsewhere_in_a_dataset_must_be_columns():
    dataset = "    other_columns: drop\n    identifiers: {idd: x}\n    retention: {clock: closed, keep: P1Y}\n"
    more = "identities: {x: {}}\n"
    assert check_columns(["a: keep"], [("a", pa.string())], more=more, dataset=dataset) == [
        '`identifiers` names column "idd", which the data does not have',
        '`retention` names column "closed", which the data does not have',
    ]


@pytest.mark.parametrize("column", ["who", "who.id", "who.deeper.still"])
@pytest.mark.parametrize("key", ["identifiers: {%s: x}", "links: {%s: d.a}", "retention: {clock: %s, keep: P1Y}"])
def test_what_is_nested_is_refused_where_people_are_found_by_it(key, column):
    dataset = f"    other_columns: keep\n    {key % column}\n"
    kind = pa.struct([("id", pa.int64()), ("deeper", pa.struct([("still", pa.int64())]))])
    [problem] = check_columns(
        ["a: keep"], [("a", pa.string()), ("who", kind)], more="identities: {x: {}}\n", dataset=dataset
    )
    assert problem == f'`{key.split(":")[0]}` names "{column}", which is nested: only a column of its own will do'


def test_a_column_with_a_dot_in_its_name_is_not_nested():
    dataset = "    identifiers: {who.id: x}\n"
    columns = [("who.id", pa.string()), ("who", pa.struct([("id", pa.int64())]))]
    assert check_columns(["who.id: keep", "who: keep"], columns, more="identities: {x: {}}\n", dataset=dataset) == []


def two(first, second, *, more="", links="", release=""):
    return (
        f"version: 1\n{more}datasets:\n"
        f"  customers:\n    path: a/*.csv\n    columns: {{{first}}}\n"
        f"  orders:\n    path: b/*.csv\n{links}{release}    columns: {{{second}}}\n"
    )


def test_one_domain_has_one_treatment():
    assert check(two("id: {pseudonym: x}", "id: {pseudonym: {domain: x, format: uuid}}")) == [
        'orders.id and customers.id are in domain "x" and differ in: format'
    ]
    assert check(two("id: {pseudonym: x}", "id: {pseudonym: {domain: y, format: uuid}}")) == []
    assert check(two("id: {pseudonym: x}", "id: {token: {domain: x}}")) == []


def test_columns_that_share_a_domain_by_name_alone_are_a_warning():
    text = two("name: {pseudonym: {format: name}}", "name: {pseudonym: {format: name, locale: de_DE}}")
    assert check(text) == []
    assert 'orders.name and customers.name are in domain "name" and differ in: locale' in check(text, "warning")


def test_one_domain_has_one_normalisation():
    identities = "identities: {email: {normalize: [casefold]}, login: {normalize: [strip]}}\n"
    text = two("mail: {pseudonym: x}", "login: {pseudonym: x}", more=identities)
    text = text.replace("path: a/*.csv", "path: a/*.csv\n    identifiers: {mail: email}")
    text = text.replace("path: b/*.csv", "path: b/*.csv\n    identifiers: {login: login}")
    assert check(text) == ['orders.login and customers.mail are in domain "x" and are normalised differently']


def test_dates_shifted_per_person_may_name_the_person_differently():
    shift = "at: {{date_shift: {{within: P30D, per: {}, domain: person}}}}"
    assert check(two(f"id: keep, {shift.format('id')}", f"who: keep, {shift.format('who')}")) == []
    narrow = shift.format("who").replace("P30D", "P9D")
    assert check(two(f"id: keep, {shift.format('id')}", f"who: keep, {narrow}")) == [
        'orders.at and customers.at are in domain "person" and differ in: within'
    ]


LINK = "    links: {customer: customers.id}\n"


def test_linked_columns_must_still_join():
    assert check(two("id: {pseudonym: x}", "customer: {pseudonym: x}", links=LINK)) == []
    assert check(two("id: {pseudonym: x}", "customer: {pseudonym: y}", links=LINK)) == [
        (
            'orders.customer and customers.id are linked, and will not join: pseudonym in domain "y" and '
            'pseudonym in domain "x"'
        )
    ]
    assert check(two("id: {pseudonym: x}", "customer: {pseudonym: x}", links=LINK, release="    release: r\n")) == [
        (
            'orders.customer and customers.id are linked, and will not join: pseudonym in domain "x" of release "r" '
            'and pseudonym in domain "x"'
        )
    ]
    assert check(two("id: {pseudonym: x}", "customer: keep", links=LINK), "warning") == [
        'orders.customer and customers.id are linked, and will not join: kept and pseudonym in domain "x"'
    ]


def test_what_is_named_must_exist():
    text = two("id: keep", "customer: keep", links="    links: {custmer: customers.id, customer: custmers.id}\n")
    text = text.replace(
        "path: a/*.csv", "path: a/*.csv\n    identifiers: {id: emial}\n    purposes: x\n    derived_from: y"
    )
    assert check("identities: {email: {}}\n" + text) == [
        'there is no identity "emial"',
        'there is no purpose "x"',
        'there is no dataset "y"',
        'there is no column "custmer"',
        'there is no dataset "custmers"',
    ]
    assert check(two("id: keep", "customer: keep", links="    links: {customer: customers.idd}\n")) == [
        'dataset "customers" has no column "idd"'
    ]


def test_an_unused_domain_is_a_warning():
    assert check(
        two("id: {pseudonym: customer}", "a: keep", more="domains: {custmer: {population: 5}}\n"), "warning"
    ) == ['no column is in domain "custmer"']


@pytest.mark.parametrize(
    ("bits", "population", "severity"),
    [(80, 10**6, None), (80, 10**9, None), (80, 10**11, "warning"), (40, 10**6, "error"), (40, 10**5, "warning"),
     (40, 10**3, None), (120, 10**12, None)],
)  # fmt: skip
def test_collisions_are_bounded_for_the_declared_population(bits, population, severity):
    column = f"id: {{pseudonym: {{domain: x, bits: {bits}}}}}"
    problems = check_policy(
        parse_policy(policy_with([column], more=f"domains: {{x: {{population: {population}}}}}\n").encode())
    )
    probability = collision_probability(population, bits)
    expected = "error" if probability > 1e-2 else "warning" if probability > 1e-6 else None
    assert severity == expected
    assert [problem.severity for problem in problems] == ([] if severity is None else [severity])
    if severity is not None:
        assert collision_probability(population, bits_needed(population)) <= 1e-6
        assert f"{population:,} values" in problems[0].message


def test_the_bound_is_that_of_the_birthday_paradox():
    assert collision_probability(23, math.log2(365)) == pytest.approx(0.5, abs=0.001)
    assert collision_probability(1, 1) == 0
    assert bits_needed(10**6) == 59


def test_a_small_domain_without_a_population_is_a_warning():
    assert check(policy_with(["id: {pseudonym: {bits: 20}}"]), "warning") == [
        'pseudonyms of domain "id" have 20 bits: among 10,000 people some will share one'
    ]
    assert check(policy_with(["id: pseudonym"]), "warning") == []


def overlap(tmp_path, first, second, files):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("a\n1\n")
    text = f"version: 1\ndatasets: {{a: {{path: '{first}'}}, b: {{path: '{second}'}}}}"
    return told(check_policy(parse_policy(text.encode(), base_dir=tmp_path)))


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ("x/*.csv", "x/a.csv", ": x/a.csv"),
        ("x", "x/*.csv", ": x/a.csv"),
        ("x/./a.csv", "y/../x/a.csv", ": x/a.csv"),
        ("x/*.csv", "x/*.parquet", None),
        ("x/*.csv", "y/*.csv", None),
        ("new/*.csv", "new/b.csv", ""),
        ("s3://bucket/*.csv", "s3://bucket/*.csv", ""),
        ("-", "-", None),
    ],
)
def test_no_file_is_of_two_datasets(tmp_path, first, second, shared):
    found = overlap(tmp_path, first, second, ["x/a.csv", "y/a.csv"])
    assert found == ([] if shared is None else [f'datasets "a" and "b" have files in common{shared}'])


def test_two_thousand_columns_are_checked_in_time_that_grows_with_them():
    names = [f"c{number}" for number in range(2000)]
    columns = [f"{name}: {{pseudonym: d{name}}}" for name in names]
    policy = parse_policy(policy_with(columns).encode())
    assert check_policy(policy) == []
    assert check_schema(policy, "people", pa.schema([(name, pa.string()) for name in names])) == []
    assert policy.normalization("people", "c7", "dc7") == ()
