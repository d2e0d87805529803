"""Erasing people: what goes, what is cut, what stays with a reason, and that doing it again changes nothing."""

from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pydp_cli.errors import OutputError, PydpError, Refused, TemporaryFailure, UsageError
from pydp_cli.pipeline.references import reference_key
from pydp_cli.pipeline.transform_files import Request, transform_files
from pydp_cli.rewrite.lock import run_lock
from pydp_cli.rewrite.transaction import Transaction
from pydp_cli.subjects import erase
from pydp_cli.subjects.erase import Run, begin, erase_all, plan_erasure, remains_of
from pydp_cli.subjects.erasures import changes_of
from pydp_cli.subjects.subject import parse_subjects
from tests.subjects.conftest import MESSAGES, ORDERS

TODAY = date(2026, 11, 23)


def planned(company, *people, **more):
    catalogue = company.catalogue()
    subjects = [parse_subjects([one] if isinstance(one, str) else one, catalogue) for one in people]
    return plan_erasure(catalogue, subjects, keyring=company.keyring, today=TODAY, **more)


def erased(company, *people, **more):
    plan = planned(company, *people, **more)
    run = Run(company.keyring, TODAY, plan.catalogue.policy.state_dir)
    with run_lock(run.state_dir, "test"):
        erasure = begin(plan, run)
        assert remains_of(erase_all(plan, erasure, run)[1]) == []
    return changes_of(run.state_dir, erasure)


def bytes_of(company):
    return {path: path.read_bytes() for path in sorted((company.folder / "data").rglob("*")) if path.is_file()}


def ids(company, file):
    return pq.read_table(company.folder / f"data/customers/{file}.parquet").column("id").to_pylist()


def rule(company, dataset, text):
    company.change_policy(f"  {dataset}:\n", f"  {dataset}:\n    erase: {text}\n")


def encrypted(company, column):
    """Encrypt a column of the orders."""
    company.change_policy(f"      {column}: keep", f"      {column}: {{anonymize: keep, encrypt: true}}")
    source, target = company.folder / "data/orders/all.csv", company.folder / "encrypted.csv"
    policy = company.catalogue().policy
    request = Request(command="encrypt", policy=policy, dataset="orders", inputs=(str(source),), output=str(target))
    transform_files(request, lambda: company.keyring)
    target.replace(source)


@pytest.fixture
def at_commit(monkeypatch):
    """Let somebody do something just before the first commit."""
    commit, happened = Transaction.commit, []

    def when(happens):
        def commit_late(self):
            if not happened:
                happened.append(True)
                happens()
            return commit(self)

        monkeypatch.setattr(Transaction, "commit", commit_late)

    return when


def replaced(path, text):
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.replace(path)


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        ("{action: mask, set: {name: null}}", "name", [None, "Bo", "Cy"]),
        ("{action: constant, set: {name: gone}}", "name", ["gone", "Bo", "Cy"]),
        ("{action: delete_row, when: 'id > 1'}", "id", [1, 2, 3]),
        ("{action: delete_row, when: 'id < 2'}", "id", [2, 3]),
        ("{action: review}", "id", [1, 2, 3]),
    ],
)
def test_each_action_does_what_it_says_and_once_more_nothing(company, text, column, expected):
    rule(company, "customers", text)
    erased(company, "customer_id=1")
    assert pq.read_table(company.folder / "data/customers/a.parquet").column(column).to_pylist() == expected
    before = bytes_of(company)
    assert erased(company, "customer_id=1") == []
    assert bytes_of(company) == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{action: mask, set: {id: null}}", "null"),
        ("{action: constant, set: {id: gone}}", "not of the column's type"),
        ("{action: mask, set: {nickname: null}}", "no column"),
        ("{action: mask, set: {born: {pseudonymise: hmac}}}", "cannot hold a pseudonym"),
        ("{action: mask}", "which columns"),
    ],
)
def test_what_a_column_cannot_take_is_refused_when_it_is_planned(company, text, message):
    schema = pa.schema([pa.field("id", pa.int64(), nullable=False), ("email", pa.string()), ("name", pa.string())])
    table = pa.table({"id": [1, 2], "email": ["anna@example.com", "b@example.com"], "name": ["Anna", "Bo"]}, schema)
    company.write("data/customers/a.parquet", table.append_column("born", pa.array([date(1980, 1, 1), None])))
    rule(company, "customers", text)
    company.change_policy("      name: {anonymize: redact", "      born: keep\n      name: {anonymize: redact")
    before = bytes_of(company)
    with pytest.raises(UsageError, match=message):
        planned(company, "customer_id=1")
    assert bytes_of(company) == before


def test_a_new_file_is_found_in_the_end(company, at_commit):
    at_commit(lambda: company.write("data/orders/new.csv", "id,customer_id,email,total\no9,1,,3.00\n"))
    erased(company, "email=anna@example.com")
    assert (company.folder / "data/orders/new.csv").read_text() == "id,customer_id,email,total\n"


def test_files_that_change_all_the_time_are_given_up(company, monkeypatch):
    commit = Transaction.commit

    def commit_late(self):
        (company.folder / "data/orders/all.csv").write_text(ORDERS)
        return commit(self)

    monkeypatch.setattr(Transaction, "commit", commit_late)
    with pytest.raises(TemporaryFailure, match="keep changing"):
        erased(company, "email=anna@example.com")


def test_a_stranger_whom_a_writer_joins_to_the_person_meanwhile_is_not_erased(company, at_commit):
    orders = company.folder / "data/orders/all.csv"
    at_commit(lambda: replaced(orders, ORDERS + "o6,2,anna@example.com,8.00\n"))
    with pytest.raises(Refused, match="not clear who"):
        erased(company, "customer_id=1")
    assert 2 in ids(company, "a")
    assert "o2,2,," in orders.read_text()


def test_of_two_people_in_a_row_only_the_one_is_cut(company):
    rule(company, "messages", "{action: mask, set: {text: null}}")
    company.write("data/messages.csv", "sender,receiver,text\nbo@example.com,anna@example.com,fine\n")
    erased(company, "customer_id=1", "customer_id=2")
    assert (company.folder / "data/messages.csv").read_text() == "sender,receiver,text\nbo@example.com,,\n"


def test_a_person_who_is_mentioned_twice_is_cut_twice(company):
    company.change_policy("{sender: email, receiver: email}", "{sender: email, receiver: email, copy: email}")
    company.change_policy("other_people: [receiver]", "other_people: [receiver, copy]")
    company.change_policy("receiver: keep, text", "receiver: keep, copy: keep, text")
    company.write(
        "data/messages.csv",
        "sender,receiver,copy,text\ncy@example.com,anna@example.com,anna@example.com,a\n"
        "cy@example.com,bo@example.com,anna@example.com,b\ncy@example.com,anna@example.com,bo@example.com,c\n",
    )
    erased(company, "customer_id=1", "customer_id=2")
    assert (company.folder / "data/messages.csv").read_text() == (
        "sender,receiver,copy,text\ncy@example.com,,,a\ncy@example.com,,,b\ncy@example.com,,,c\n"
    )


def test_folders_that_are_named_after_a_person_do_not_stay(company):
    company.change_policy("data/customers/*.parquet", "data/customers")
    for path in (company.folder / "data/customers").iterdir():
        path.unlink()
    for number, email in [(1, "anna@example.com"), (2, "bo@example.com")]:
        company.write(f"data/customers/id={number}/x.parquet", pa.table({"email": [email], "name": ["N"]}))
    done = erased(company, "email=anna@example.com")
    assert [path.name for path in (company.folder / "data/customers").iterdir()] == ["id=2"]
    assert not [one for one in done if "id=1" in one["path"]]


def test_values_among_encrypted_ones_are_refused(company):
    encrypted(company, "total")
    rule(company, "orders", "{action: mask, set: {total: '0.00'}}")
    with pytest.raises(PydpError, match="encrypted"):
        planned(company, "customer_id=1")


def test_a_condition_on_encrypted_values_is_not_guessed(company):
    encrypted(company, "total")
    rule(company, "orders", "{action: delete_row, when: total == '5.50'}")
    with pytest.raises(PydpError, match="encrypted"):
        planned(company, "customer_id=1")


def test_a_rule_for_kept_rows_leaves_mentions_in_place_and_counts_them(company):
    rule(company, "messages", "{action: keep, because: minutes}")
    plan = planned(company, "customer_id=1")
    assert (company.folder / "data/messages.csv").read_text() == MESSAGES
    [messages] = [one for one in plan.files if one.dataset == "messages"]
    assert (messages.kept, messages.mentions) == (1, 1)


def test_large_files_are_staged_at_the_same_time_and_come_out_the_same(company, monkeypatch):
    before = bytes_of(company)
    told = erased(company, "email=anna@example.com")
    one_by_one = bytes_of(company)
    for path, content in before.items():
        path.write_bytes(content)
    monkeypatch.setattr(erase, "MANY_BYTES", 0)
    again = erased(company, "email=anna@example.com")
    assert bytes_of(company) == one_by_one
    assert [one["deleted"] for one in again] == [one["deleted"] for one in told]


def test_where_one_of_several_files_cannot_be_staged_nothing_changes(company, monkeypatch):
    real = erase.rewrite_file

    def failing(file, stream, edits, *, csv):
        if file.path.endswith("items.parquet"):
            raise OSError(28, "No space left on device")
        return real(file, stream, edits, csv=csv)

    before = bytes_of(company)
    monkeypatch.setattr(erase, "MANY_BYTES", 0)
    monkeypatch.setattr(erase, "rewrite_file", failing)
    with pytest.raises(OutputError):
        erased(company, "email=anna@example.com")
    assert bytes_of(company) == before
    assert not list((company.folder / "data").rglob(".*"))


def test_people_are_referred_to_as_one_by_one(company):
    people = [{"email": ["a@example.com", "b@example.com"], "customer_id": ["1"]}, {}, {"customer_id": ["2"]}]
    each = [
        [f"{space} {reference_key(company.keyring, space).reference(value)}" for value in values]
        for one in people
        for space, values in sorted(one.items())
    ]
    together = erase.references_of(company.keyring, people)
    assert [len(one) for one in together] == [3, 0, 1]
    assert [reference for one in together for reference in one] == [reference for one in each for reference in one]


def test_a_row_that_is_found_as_ones_own_first_keeps_its_owner_where_it_mentions_another(company):
    text = (company.folder / "pydp.yml").read_text()
    at = text.index("  messages:\n")
    before, after = text[:at].split("datasets:\n")
    company.write("pydp.yml", f"{before}datasets:\n{text[at:]}{after}")  # searched before who writes to it is known
    rule(company, "messages", "{action: mask, set: {text: null}}")
    company.write("data/messages.csv", "sender,receiver,text\nbo@example.com,anna.b@example.org,fine\n")
    erased(company, "email=bo@example.com", "customer_id=1")
    assert (company.folder / "data/messages.csv").read_text() == "sender,receiver,text\nbo@example.com,,\n"


def test_a_file_of_two_datasets_is_refused_when_it_is_planned(company):
    again = "  again:\n    path: data/orders/all.csv\n    links: {customer_id: customers.id}\n    other_columns: keep\n"
    company.change_policy("  items:\n", f"{again}  items:\n")
    with pytest.raises(UsageError, match='datasets "orders" and "again" both'):
        planned(company, "customer_id=1")


def test_a_file_with_two_names_is_changed_once(company):
    (company.folder / "data/orders/link.csv").symlink_to("all.csv")
    erased(company, "email=anna@example.com")
    text = (company.folder / "data/orders/link.csv").read_text()
    assert text == "id,customer_id,email,total\no2,2,,20.00\no4,0,,1.00\n"
    assert (company.folder / "data/orders/link.csv").is_symlink()
