"""`pydp audit` as a user runs it."""

import json
from hashlib import sha256

import pytest


@pytest.fixture
def logged(work):
    work.write("pydp.yml", work.read("pydp.yml").replace("datasets:", "identities: {person: {}}\ndatasets:", 1))
    work.write("pydp.yml", work.read("pydp.yml").replace("    path:", "    identifiers: {id: person}\n    path:", 1))
    for number in (1, 3):
        done = work.pydp("export-user", "--subject", f"person={number}", "-o", f"{number}.zip", "--key-file", "key")
        assert done.code == 0, done.err
    return work


def segment(work):
    return work.path(".pydp/audit/000000.jsonl")


def test_a_sound_log(logged):
    done = logged.pydp("audit", "verify", "--key-file", "key")
    assert done.code == 0
    assert "3 lines are as they were written, 3 of them signed" in done.err


def test_an_altered_log_is_refused_with_the_line(logged):
    segment(logged).write_text(segment(logged).read_text().replace('"rows":1', '"rows":7', 1))
    done = logged.pydp("audit", "verify")
    assert done.code == 3
    assert done.out.startswith("altered: ")
    assert "line 1" in done.out
    assert not json.loads(logged.pydp("audit", "verify", "--json").out)["sound"]


def test_another_keyring_does_not_vouch_for_it(logged):
    assert logged.pydp("keys", "init", "--keyring", "other", "--key-file", "other.key", "-q").code == 0
    done = logged.pydp("audit", "verify", "--keyring", "other", "--key-file", "other.key")
    assert (done.code, "unknown key" in done.out) == (3, True)


def test_entries_are_found_by_event_and_time(logged):
    assert logged.pydp("audit", "query", "--event", "export-user").out.count("export-user.done") == 2
    assert logged.pydp("audit", "query", "--until", "2020-01-01").out == ""
    assert len(json.loads(logged.pydp("audit", "query", "--json", "--limit", "1").out)) == 1
    assert logged.pydp("audit", "query", "--since", "yesterday").code == 2


def test_the_log_is_exported_as_it_is_and_as_a_table(logged):
    assert logged.pydp("audit", "export").out == segment(logged).read_text()
    assert logged.pydp("audit", "export", "--format", "csv").out.startswith("seq,time,event")
    assert logged.pydp("audit", "export", "--format", "xml").code == 2


def test_the_log_is_exported_for_a_siem(logged):
    done = logged.pydp("audit", "export", "--format", "ocsf", "--event", "export-user")
    events = [json.loads(line) for line in done.out.splitlines()]
    lines = segment(logged).read_text().splitlines()
    assert [event["metadata"]["uid"] for event in events] == [sha256(line.encode()).hexdigest() for line in lines[1:]]
    assert {event["type_uid"] for event in events} == {600_302}  # API Activity: Read
    assert [event["unmapped"]["details"] for event in events] == [json.loads(line)["details"] for line in lines[1:]]


def test_an_anchor_kept_elsewhere_notices_an_end_that_is_cut_off(logged):
    before = {path: path.read_bytes() for path in logged.path(".pydp/audit").iterdir()}
    anchor = logged.pydp("audit", "anchor", "--key-file", "key")
    logged.write("anchor.txt", anchor.out)
    assert logged.pydp("audit", "verify", "--against", "anchor.txt").code == 0
    for path, content in before.items():
        path.write_bytes(content)
    assert logged.pydp("audit", "verify").code == 0
    done = logged.pydp("audit", "verify", "--against", "anchor.txt")
    assert (done.code, "truncated" in done.out) == (3, True)
    assert logged.pydp("audit", "verify", "--against", "nowhere.txt").code == 2


def test_an_entry_is_proven_to_somebody_with_the_public_key_only(logged):
    vkey = logged.pydp("audit", "anchor", "--vkey", "--key-file", "key").out.strip()
    proof = logged.pydp("audit", "prove", "1", "--key-file", "key")
    logged.write("proof.txt", proof.out)
    done = logged.pydp("audit", "prove", "--check", "proof.txt", "--vkey", vkey)
    assert done.code == 0
    assert '"event":"export-user.done"' in done.out
    logged.write("proof.txt", proof.out.replace("index 1", "index 2"))
    assert logged.pydp("audit", "prove", "--check", "proof.txt", "--vkey", vkey).code == 3
    assert logged.pydp("audit", "prove", "--check", "proof.txt").code == 2
    assert logged.pydp("audit", "prove", "99").code == 2


def test_an_anchor_needs_a_key(logged):
    assert logged.pydp("audit", "anchor").code != 0


def test_nothing_is_dropped_before_a_segment_is_full(logged):
    done = logged.pydp("audit", "drop", "--before", "2999-01-01")
    assert (done.code, "0 segments dropped" in done.err) == (0, True)


def test_runs_by_a_policy_are_logged_with_their_counts(work):
    assert work.pydp("anonymize", "-o", "out.csv", "--key-file", "key").code == 0
    (entry,) = json.loads(work.pydp("audit", "query", "--event", "anonymize", "--json").out)
    assert (entry["details"]["rows_in"], entry["details"]["datasets"]) == (3, ["people"])
    assert work.pydp("audit", "verify", "--key-file", "key").code == 0


def test_a_log_that_cannot_be_written_is_a_warning_after_the_work_is_done(work):
    work.write(".pydp", "a file where the folder should be")
    done = work.pydp("anonymize", "-o", "out.csv", "--key-file", "key")
    assert done.code == 0
    assert "warning: this run is not in the audit log" in done.err
    assert work.path("out.csv").exists()


def test_runs_without_a_policy_leave_nothing_behind(work):
    assert work.pydp("anonymize", "people.csv", "--keep", "id", "--other-columns", "drop", "-o", "out.csv").code == 0
    assert not work.path(".pydp").exists()
