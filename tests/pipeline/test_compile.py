"""Everything that can be known before a row is read is checked then; what is compiled is a pure function."""

import json
import pickle
from datetime import date

import pyarrow as pa
import pytest

from pydp_cli.errors import BadValue, KeyringError, PolicyError, UsageError
from pydp_cli.pipeline.compile import compile_pipeline
from tests.pipeline.rings import policy

SCHEMA = pa.schema([("id", pa.string()), ("email", pa.string()), ("born", pa.string()), ("country", pa.string())])
BATCH = pa.record_batch(
    [
        ["1", "007", None, "4"],
        ["A@x.org", "a@x.org", "", None],
        ["1980-05-06", "1990-01-01", None, "1930-12-31"],
        ["DE", "FR", "DE", None],
    ],
    schema=SCHEMA,
)


def compiled(columns, *, schema=SCHEMA, keyring=None, more="", **options):
    return compile_pipeline(policy(columns, more=more), dataset="people", schema=schema, keyring=keyring, **options)


def kept(**treated):
    return dict.fromkeys(SCHEMA.names, "keep") | treated


def test_the_same_batch_gives_the_same_result_also_from_a_pickled_copy(keyring):
    pipeline = compiled(kept(id="{pseudonym: {domain: p}}", email="{token: {on_small: redact}}"), keyring=keyring)
    treated = pipeline.apply(BATCH)
    assert pipeline.apply(BATCH).equals(treated)
    assert pickle.loads(pickle.dumps(pipeline)).apply(BATCH).equals(treated)
    assert treated.column("id").to_pylist() != BATCH.column("id").to_pylist()
    assert treated.column("id")[2].as_py() is None


def test_slices_are_treated_as_the_whole_is(keyring):
    pipeline = compiled(kept(id="{pseudonym: {domain: p}}", born="{date: {truncate: year}}"), keyring=keyring)
    whole = pipeline.apply(BATCH)
    parts = [pipeline.apply(BATCH.slice(start, 1)) for start in range(4)]
    assert pa.Table.from_batches(parts).to_pydict() == pa.Table.from_batches([whole]).to_pydict()


def test_every_problem_of_the_schema_is_told_at_once():
    with pytest.raises(PolicyError) as caught:
        compiled({"id": "keep", "mail": "redact", "Born": "keep"})
    told = "\n".join(problem.message for problem in caught.value.problems)
    assert all(f'"{name}"' in told for name in ("email", "born", "country", "mail", "Born"))


def test_a_key_is_asked_for_only_where_it_is_needed():
    assert compiled(kept(email="redact")).apply(BATCH).column("email").to_pylist()[0] == "[redacted]"
    with pytest.raises(KeyringError, match="needs a key"):
        compiled(kept(email="{pseudonym: {domain: email}}"))


def test_an_unknown_dataset_or_purpose_is_named():
    with pytest.raises(UsageError, match='no dataset "others"'):
        compile_pipeline(policy(kept()), dataset="others", schema=SCHEMA)
    with pytest.raises(UsageError, match='no purpose "publish"'):
        compiled(kept(), purpose="publish")


def test_dropped_columns_are_gone_and_kept_ones_are_the_very_same():
    pipeline = compiled(kept(email="drop"))
    treated = pipeline.apply(BATCH)
    assert treated.schema.names == ["id", "born", "country"]
    assert treated.column("id").buffers()[2].address == BATCH.column("id").buffers()[2].address


def test_the_field_says_what_treated_it_and_under_which_key(keyring):
    mark = compiled(kept(id="{pseudonym: {domain: p}}"), keyring=keyring).output_schema.field("id").metadata[b"pydp"]
    told = json.loads(mark)
    assert told["treatment"] == ["pseudonym"]
    assert told["keys"] == [{"name": "pseudonym", "id": keyring.primary("pseudonym").key_id.hex()}]


def test_a_condition_chooses_the_rows_of_a_step():
    treated = compiled(kept(email='{redact: {text: "-"}, when: country == "DE"}')).apply(BATCH)
    assert treated.column("email").to_pylist() == ["-", "a@x.org", "-", None]


def test_a_condition_may_not_change_the_type():
    with pytest.raises(PolicyError, match="has a condition and makes int32"):
        compiled(kept(born='{age_from: 2026-01-01, when: country == "DE"}'))


@pytest.mark.parametrize(
    ("more", "left"),
    [
        ('    keep_rows: country == "DE"\n', ["1", None]),
        ('    drop_rows: country == "DE"\n', ["007", "4"]),
        ('    keep_rows: country == "DE"\n    drop_rows: id is null\n', ["1"]),
    ],
)
def test_rows_are_kept_and_dropped_by_condition(more, left):
    assert compiled(kept(), more=more).apply(BATCH).column("id").to_pylist() == left


def test_a_bad_value_is_named_by_its_row_in_the_batch_whatever_filters_and_conditions_stand_before_it():
    broken = BATCH.set_column(2, "born", pa.array(["1980-05-06", "soon", None, "later"]))
    with pytest.raises(BadValue) as caught:
        compiled(kept(born="{date: {truncate: year}}")).apply(broken)
    assert (caught.value.rows[0], caught.value.place) == (1, 'column "born"')
    with pytest.raises(BadValue) as caught:
        compiled(kept(born="{date: {truncate: year}}"), more='    drop_rows: country == "FR"\n').apply(broken)
    assert caught.value.rows == (3,)
    assert "later" not in str(caught.value)


def test_ages_count_on_the_day_that_is_given_unless_the_policy_names_one():
    def ages(treatment):
        return compiled(kept(born=treatment), as_of=date(2010, 5, 6)).apply(BATCH).column("born").to_pylist()

    assert ages("age_from") == [30, 20, None, 79]
    assert ages("{age_from: 2000-01-01}") == [19, 10, None, 69]
    assert ages("{top_code: {max_age: 70}}")[3] == date(1939, 5, 7)


def test_a_column_that_may_become_null_is_nullable():
    schema = pa.schema([pa.field("id", pa.string(), nullable=False)])
    assert compiled({"id": "null"}, schema=schema).output_schema.field("id").nullable
    assert not compiled({"id": "{prefix: 1}"}, schema=schema).output_schema.field("id").nullable


@pytest.mark.parametrize("kind", [pa.dictionary(pa.int32(), pa.string()), pa.large_string(), pa.string_view()])
def test_text_is_treated_in_every_form_that_arrow_has(kind):
    column = pa.array(["ab", None, "cd"], pa.string()).cast(kind)
    treated = compiled({"id": "{prefix: 1}"}, schema=pa.schema([("id", kind)])).apply(pa.record_batch([column], ["id"]))
    assert treated.column("id").to_pylist() == ["a", None, "c"]


def test_two_thousand_columns_are_compiled_and_treated():
    names = [f"c{number}" for number in range(2000)]
    schema = pa.schema([(name, pa.string()) for name in names])
    batch = pa.record_batch([pa.array(["value"])] * 2000, schema=schema)
    treated = compiled(dict.fromkeys(names, "{mask: {keep_first: 1}}"), schema=schema).apply(batch)
    assert set(treated.to_pylist()[0].values()) == {"v****"}


def test_a_policy_that_contradicts_itself_is_refused_before_a_file_is_treated(keyring):
    columns = kept(id="{pseudonym: {domain: p}}", email="{pseudonym: {domain: p, format: uuid}}")
    with pytest.raises(PolicyError) as raised:
        compiled(columns, keyring=keyring)
    assert [p.message for p in raised.value.problems] == [
        'people.email and people.id are in domain "p" and differ in: format'
    ]
