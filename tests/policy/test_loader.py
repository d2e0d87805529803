"""A policy file is loaded whole, or refused with every problem at its place."""

import pickle
from textwrap import dedent

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.errors import InputError, PolicyError
from pydp_cli.policy.loader import find_policy, load_policy, parse_policy
from pydp_cli.policy.model import Policy
from pydp_cli.policy.settings import policy_to_yaml
from tests.policy.examples import EXAMPLE, policy_with


def complaints(text):
    with pytest.raises(PolicyError) as caught:
        parse_policy(text.encode())
    return [
        f"{problem.place}: {problem.message}" + (f" ({problem.hint})" if problem.hint else "")
        for problem in caught.value.problems
    ]


def test_the_example_loads():
    policy = parse_policy(EXAMPLE.encode())
    customers, orders = policy.datasets.values()
    assert [step.name for step in customers.columns["birth_date"].anonymize] == ["date", "top_code"]
    assert customers.columns["email"].encrypt.mode == "random"
    assert customers.columns["phone"].encrypt.fpe.alphabet == "digits"
    assert customers.columns["salary"].encrypt.bind == ("id",)
    assert customers.columns["country"].anonymize[0].name == "keep"
    assert orders.columns["total"].type == pa.decimal128(12, 2)
    assert orders.columns["ordered_at"].type == pa.timestamp("us")
    assert orders.csv.delimiter == ";"
    assert policy.statistics.queries["revenue_by_country"].where == 'status == "paid"'


def test_the_example_survives_being_written_out():
    policy = parse_policy(EXAMPLE.encode())
    again = parse_policy(policy_to_yaml(policy).encode())
    assert again.to_data() == policy.to_data()
    assert again.digest == policy.digest


def test_the_digest_is_of_what_is_said_not_of_how_it_is_written():
    long = parse_policy(policy_with(["a: {anonymize: [{mask: {keep_last: 4, min_hidden: 4}}]}"]).encode())
    short = parse_policy(policy_with(["a: {mask: 4}  # the same"]).encode())
    other = parse_policy(policy_with(["a: {mask: 3}"]).encode())
    assert long.digest == short.digest != other.digest


def test_a_policy_can_be_sent_to_workers():
    policy = parse_policy(EXAMPLE.encode())
    assert pickle.loads(pickle.dumps(policy)).digest == policy.digest


@pytest.mark.parametrize("several", ["[tenant, customer]", "{columns: [tenant, customer]}"])
def test_an_identifier_of_several_columns_is_refused_with_what_to_do(several):
    [said] = complaints(f"version: 1\nidentities: {{customer: {several}}}\n")
    assert said.startswith("pydp.yml:2:14: an identifier is one column, and not several together (add a column ")


def test_every_problem_is_reported_at_its_place():
    text = dedent("""\
        version: 2
        keyrng: x
        identities: {email: {normalize: [nfcc, {e164: DE}]}}
        datasets:
          people:
            path: 5
            other_columns: err
            csv: {delimiter: ";;", encoding: klingon}
            links: {a: customers}
            retention: {clock: at, keep: 3 years}
            keep_rows: country = "DE
            columns:
              a: psuedonym
              b: {mask: {keep_lst: 4, keep_last: x}}
              c: {anonymize: [{date: yr}, redakt], encrypt: {mode: randm}}
              d: {anonimize: keep}
              e: {type: decimal(99,2)}
              f: {redact: {}, when: a === 1}
              g: {encrypt: {fpe: {}, bind: [a]}}
              h: {type: timestamp, anonymise: keep}
              i: 5
              j: [keep, decide]
        """)
    assert complaints(text) == [
        'pydp.yml:1:10: "version" must be one of: 1',
        'pydp.yml:2:1: unknown key "keyrng" (did you mean "keyring"?)',
        'pydp.yml:3:34: unknown rule in normalize (did you mean "nfkc"?)',
        'pydp.yml:6:11: "path" must be text',
        'pydp.yml:7:20: "other_columns" must be one of: error, drop, keep',
        'pydp.yml:8:22: "delimiter" must be one ASCII character, and not a line ending',
        'pydp.yml:8:38: "encoding" is not a known text encoding',
        "pydp.yml:9:16: a link is written DATASET.COLUMN (for example customers.id)",
        'pydp.yml:10:34: "keep" must be an ISO 8601 duration, such as P3Y or P30D',
        'pydp.yml:11:16: condition, character 11: a quote that is not closed (a " within text is doubled)',
        'pydp.yml:13:10: unknown transform "psuedonym" (did you mean "pseudonym"?)',
        'pydp.yml:14:18: transform "mask" has no option "keep_lst" (did you mean "keep_last"?)',
        'pydp.yml:14:42: "keep_last" must be a whole number',
        'pydp.yml:15:30: "truncate" must be one of: year, quarter, month, week, day, hour',
        'pydp.yml:15:35: unknown transform "redakt" (did you mean "redact"?)',
        'pydp.yml:15:60: "mode" must be one of: random, deterministic',
        'pydp.yml:16:11: unknown key "anonimize" (did you mean "anonymize"?)',
        "pydp.yml:17:17: a decimal has 1 to 38 digits, and no more of them behind the point than in all",
        "pydp.yml:18:29: condition, character 5: a column or a value is expected, and here is `=`",
        "pydp.yml:19:11: `fpe` cannot go with: bind",
        'pydp.yml:20:28: unknown key "anonymise" (did you mean "anonymize"?)',
        "pydp.yml:21:10: a step is the name of a transform, or a mapping from it to its options",
        'pydp.yml:22:17: unknown transform "decide" (`pydp policy schema` lists them)',
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("datasets: {}", 'pydp.yml:1:1: the policy lacks "version"'),
        ("- a", "pydp.yml:1:1: a policy is a mapping, which begins with `version: 1`"),
        ("version: 1\ndatasets: []", 'pydp.yml:2:1: "datasets" must be a mapping'),
        ("version: 1\ndatasets: {a: {path: x, columns: {b: {encrypt: {blind_index: {}}}}}}",
         "pydp.yml:2:49: give either `bits` or `population`"),
    ],
)  # fmt: skip
def test_what_is_not_a_policy_is_said(text, message):
    assert complaints(text) == [message]


def test_a_thousand_problems_are_cut_short():
    found = complaints("version: 1\n" + "".join(f"key{number}: 1\n" for number in range(1000)))
    assert len(found) == 101
    assert found[-1] == "pydp.yml: 900 more problems"


def test_no_message_repeats_a_value():
    columns = [
        "a: {mask: {keep_last: s3cret, char: s3cret}}",
        "b: {constant: [s3cret]}",
        "c: {map: {default: {x: s3cret}}}",
    ]
    assert "s3cret" not in " ".join(complaints(policy_with(columns)))


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("keep", ["keep"]),
        ("null", ["null"]),
        ("{prefix: 3}", ["prefix"]),
        ("[{date: year}, redact]", ["date", "redact"]),
        ("{anonymize: {prefix: 3}}", ["prefix"]),
        ("{type: date, anonymize: {date: year}}", ["date"]),
        ('{redact: {}, when: a == "x"}', ["redact"]),
    ],
)
def test_a_column_is_a_word_a_step_a_list_or_a_mapping(written, names):
    column = parse_policy(policy_with([f"a: {written}"]).encode()).datasets["people"].columns["a"]
    assert [step.name for step in column.anonymize] == names


@pytest.mark.parametrize("written", ["decide", "{anonymize: decide}", "{type: date, anonymize: decide}", "[decide]"])
def test_what_is_to_be_decided_loads(written):
    policy = parse_policy(policy_with([f"a: {written}"]).encode())
    column = policy.datasets["people"].columns["a"]
    assert column.decide
    assert column.anonymize is None
    assert parse_policy(policy_to_yaml(policy).encode()).datasets["people"].columns["a"] == column


@pytest.mark.parametrize(
    "written",
    ["true", "random", "deterministic", "fpe", "{fpe: true}",
     "{mode: deterministic, domain: x, nulls: encrypt, pad: 16}",
     "{blind_index: {population: 1000}, per_subject: true, key: main}"],
)  # fmt: skip
def test_encryption_survives_being_written_out(written):
    policy = parse_policy(policy_with([f"a: {{encrypt: {written}}}"]).encode())
    again = parse_policy(policy_to_yaml(policy).encode())
    assert again.datasets["people"].columns == policy.datasets["people"].columns


def test_the_rights_sections_load():
    text = dedent("""\
        version: 1
        controller: {name: Acme, regimes: [eu-gdpr]}
        purposes: {service: {basis: contract, keep: P10Y}}
        identities: {phone: {normalize: [{e164: DE}], shared: ["0"]}}
        rotation: {max_age: P1Y, keys: {main: P90D, backup: {max_age: P2Y, mode: rewrap-root}}}
        not_personal: [{path: fx/*.csv, because: exchange rates}]
        holds:
          - {id: LH-1, matter: Doe, match: {identity: {phone: [1]}}, from: 2026-03-01, until: null, blocks: [erase]}
        datasets:
          people:
            path: people.csv
            subject: Customer
            purposes: service
            erase: delete_row
            links: [{column: boss, to: people.id}]
            other_people: [boss]
            columns: {boss: {category: "pd:Name", anonymize: redact}, id: keep}
        """)
    policy = parse_policy(text.encode())
    assert policy.identities["phone"].normalize == ("e164:DE",)
    assert policy.rotation.keys["main"].max_age == "P90D"
    assert policy.datasets["people"].link_of("boss") == ("people", "id")
    assert policy.datasets["people"].erase.action == "delete_row"
    assert parse_policy(policy_to_yaml(policy).encode()).digest == policy.digest


def test_a_pseudonym_is_normalised_by_the_identity_of_its_column():
    text = dedent("""\
        version: 1
        identities:
          email: {normalize: [strip, casefold]}
          login: {normalize: [strip]}
          customer_id: {normalize: [digits]}
        datasets:
          customers:
            path: a.csv
            identifiers: {id: customer_id, mail: email, user: login}
            columns:
              id: {pseudonym: customer}
              mail: {pseudonym: {domain: address}}
              user: {pseudonym: user}
              seen: {date_shift: {within: P30D, per: id, domain: person}}
          orders:
            path: b.csv
            links: {customer: customers.id}
            columns:
              customer: {pseudonym: customer}
              note: {free_text: {email_domain: address}}
              other: {pseudonym: email}
              plain: pseudonym
        """)
    policy = parse_policy(text.encode())
    assert policy.normalization("customers", "mail", "address") == ("strip", "casefold")
    assert policy.normalization("customers", "user", "user") == ("strip",)
    assert policy.normalization("customers", "seen", "person") == ("digits",)
    assert policy.normalization("orders", "customer", "customer") == ("digits",)
    assert policy.normalization("orders", "note", "address") == ("strip", "casefold")
    assert policy.normalization("orders", "other", "email") == ("strip", "casefold")
    assert policy.normalization("orders", "plain", "plain") == ()


def test_links_that_go_in_circles_end():
    dataset = "    links: {a: people.b, b: people.a}\n"
    policy = parse_policy(policy_with(["a: {pseudonym: x}", "b: {pseudonym: x}"], dataset=dataset).encode())
    assert policy.normalization("people", "a", "x") == ()


def test_the_nearest_policy_is_found(tmp_path):
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "pydp.yml").write_text("version: 1\n")
    assert find_policy(deep) == tmp_path / "pydp.yml"
    (deep / "pydp.yml").write_text("version: 1\n")
    assert find_policy(deep) == deep / "pydp.yml"


def test_paths_are_relative_to_the_file(tmp_path):
    file = tmp_path / "pydp.yml"
    file.write_text(EXAMPLE)
    policy = load_policy(file)
    assert policy.base_dir == tmp_path
    assert policy.keyring_path == tmp_path / "pydp.keyring"
    assert policy.state_dir == tmp_path / ".pydp"
    assert policy.place_of("datasets", "orders", "columns", "total") == f"{file}:35:7"


def test_a_file_below_the_working_directory_is_named_from_there(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "pydp.yml").write_text("version: 3")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PolicyError) as caught:
        load_policy("sub/pydp.yml")
    assert caught.value.place == "sub/pydp.yml:1:10"


def test_a_policy_that_cannot_be_read_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="no such policy"):
        load_policy(tmp_path / "pydp.yml")
    with pytest.raises(InputError, match="cannot be read"):
        load_policy(tmp_path)


def test_a_huge_file_is_not_read_whole(tmp_path):
    file = tmp_path / "pydp.yml"
    with file.open("wb") as stream:
        stream.truncate(100_000_000)
    with pytest.raises(PolicyError, match="at most 1,048,576 bytes"):
        load_policy(file)


def test_other_columns_can_be_changed():
    policy = parse_policy(EXAMPLE.encode())
    assert {d.other_columns for d in policy.with_other_columns(None, "drop").datasets.values()} == {"drop"}
    changed = policy.with_other_columns("orders", "keep")
    assert [d.other_columns for d in changed.datasets.values()] == ["error", "keep"]
    assert policy.datasets["orders"].other_columns == "error"
    assert changed.place_of("version") == "pydp.yml:1:1"


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["keep", "mask", "", "a == 1", "P1Y", "text"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "anonymize",
                    "encrypt",
                    "type",
                    "mask",
                    "map",
                    "when",
                    "columns",
                    "path",
                    "fpe",
                    "keep_last",
                    "values",
                    "decide",
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)
SECTIONS = st.sampled_from(sorted(Policy.model_fields))


@given(st.dictionaries(SECTIONS, VALUES, max_size=4), VALUES, VALUES)
def test_any_data_is_a_policy_or_a_policy_error(sections, dataset, column):
    import json

    data = {"version": 1, **sections, "datasets": {"d": {"path": "x", "columns": {"c": column, "e": dataset}}}}
    if isinstance(dataset, dict):
        data["datasets"]["e"] = dataset
    try:
        policy = parse_policy(json.dumps(data).encode())
    except PolicyError as error:
        assert all(problem.place for problem in error.problems)  # noqa: PT017
    else:
        assert parse_policy(policy_to_yaml(policy).encode()).digest == policy.digest
