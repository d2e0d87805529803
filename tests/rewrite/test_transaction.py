"""All changes are made or none, whatever the system call at which a run is killed or fails."""

import errno
import os
import shutil

import pytest

from pydp_cli.errors import InputError, OutputError, Refused, Tampered, TemporaryFailure, UsageError
from pydp_cli.rewrite import recovery
from pydp_cli.rewrite.journal import Journal, open_journals
from pydp_cli.rewrite.transaction import Transaction
from tests.rewrite.faults import KINDS, every_fault

OLD = {"a.csv": b"old a", "deep/b.csv": b"old b", "c.csv": b"old c", "gone.csv": b"old gone"}
NEW = {"a.csv": b"new a", "deep/b.csv": b"new b" * 1000, "c.csv": b"old c"}


@pytest.fixture
def folder(tmp_path):
    lay_out(tmp_path)
    return tmp_path


def lay_out(folder):
    shutil.rmtree(folder / "data", ignore_errors=True)
    shutil.rmtree(folder / "state", ignore_errors=True)
    for name, content in OLD.items():
        (folder / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "data" / name).write_bytes(content)


def state(folder):
    """What is in the folder: every file, temps included."""
    data = folder / "data"
    return {str(path.relative_to(data)): path.read_bytes() for path in sorted(data.rglob("*")) if path.is_file()}


def change(folder, *, before_commit=lambda: None):
    data = folder / "data"
    with Transaction.begin(folder / "state", "test") as transaction:
        transaction.plan([data / name for name in OLD])
        for name in ("a.csv", "deep/b.csv"):
            with transaction.replacement(data / name) as stream:
                stream.write(NEW[name])
        transaction.deletion(data / "gone.csv")
        before_commit()
        return transaction.commit()


def test_all_changes_are_made(folder):
    outcome = change(folder)
    data = folder / "data"
    assert state(folder) == NEW
    assert outcome.replaced == (str(data / "a.csv"), str(data / "deep/b.csv"))
    assert (outcome.deleted, outcome.left) == ((str(data / "gone.csv"),), ())
    assert recovery.interrupted(folder / "state") == []


def test_leaving_without_a_commit_changes_nothing(folder):
    def fail():
        raise RuntimeError

    with pytest.raises(RuntimeError):
        change(folder, before_commit=fail)
    assert state(folder) == OLD
    assert recovery.interrupted(folder / "state") == []


@pytest.mark.parametrize("how", KINDS)
def test_a_fault_at_any_call_loses_nothing_and_resume_ends_it(folder, how):
    seen = set()

    def check(code):
        committed = [found.committed for found in recovery.interrupted(folder / "state")]
        ended = recovery.resume(folder / "state")
        after = state(folder)
        assert after in (OLD, NEW), code
        seen.add(after == NEW)
        if committed:
            assert (after == NEW) == committed[0]
        for _, outcome in ended:
            assert outcome.left == ()
        assert recovery.resume(folder / "state") == []
        assert state(folder) == after

    strikes = every_fault(lambda: change(folder), lambda: lay_out(folder), check, how)
    assert strikes > 15
    assert seen == {True, False}


def test_a_naive_loop_in_the_same_harness_loses_something(folder):
    """What the harness must be able to see: truncate and write."""

    def naive():
        for name, content in NEW.items():
            handle = os.open(folder / "data" / name, os.O_WRONLY | os.O_TRUNC)
            os.write(handle, content)
            os.close(handle)

    losses = []

    def check(code):
        after = state(folder)
        losses.extend(name for name in NEW if after[name] not in (OLD[name], NEW[name]))

    every_fault(naive, lambda: lay_out(folder), check, "kill")
    assert losses


@pytest.mark.parametrize("how", ["kill", "after"])
def test_a_fault_while_resuming_is_resumed_too(folder, how):
    def prepare():
        lay_out(folder)
        transaction = Transaction.begin(folder / "state", "test")
        data = folder / "data"
        transaction.plan([data / name for name in OLD])
        for name in ("a.csv", "deep/b.csv"):
            with transaction.replacement(data / name) as stream:
                stream.write(NEW[name])
        transaction.deletion(data / "gone.csv")
        transaction.journal.append("commit", files=transaction._changes)

    def check(code):
        recovery.resume(folder / "state")
        assert state(folder) == NEW
        assert recovery.interrupted(folder / "state") == []

    assert every_fault(lambda: recovery.resume(folder / "state"), prepare, check, how) > 5


def test_a_file_that_changed_meanwhile_is_left_and_named(folder):
    def meddle():
        (folder / "data" / "a.csv").write_bytes(b"someone else's")
        (folder / "data" / "c.csv").replace(folder / "data" / "gone.csv")

    outcome = change(folder, before_commit=meddle)
    assert state(folder) == {"a.csv": b"someone else's", "deep/b.csv": NEW["deep/b.csv"], "gone.csv": b"old c"}
    assert outcome.left == (str(folder / "data" / "a.csv"), str(folder / "data" / "gone.csv"))


def test_a_staged_file_that_was_changed_is_not_swapped_in(folder):
    def somebody():
        next((folder / "data").glob(".a.csv.*.staged")).write_bytes(b"not a")

    outcome = change(folder, before_commit=somebody)
    assert state(folder) == NEW | {"a.csv": OLD["a.csv"]}
    assert outcome.left == (str(folder / "data/a.csv"),)


def test_an_interrupted_run_must_be_ended_before_the_next(folder):
    transaction = Transaction.begin(folder / "state", "erase-user")
    transaction.plan([folder / "data" / "a.csv"])
    with pytest.raises(TemporaryFailure, match="erase-user") as caught:
        Transaction.begin(folder / "state", "test")
    assert caught.value.exit_code == 75
    recovery.abort(folder / "state")
    Transaction.begin(folder / "state", "test").abort()


def test_what_was_committed_cannot_be_aborted(folder):
    transaction = Transaction.begin(folder / "state", "test")
    transaction.plan([folder / "data" / "a.csv"])
    transaction.deletion(folder / "data" / "a.csv")
    transaction.journal.append("commit", files=transaction._changes)
    with pytest.raises(Refused, match="only be finished"):
        recovery.abort(folder / "state")
    recovery.resume(folder / "state")
    assert not (folder / "data" / "a.csv").exists()


def test_mode_and_owner_are_kept_and_links_are_followed(folder):
    real, link = folder / "data" / "a.csv", folder / "link.csv"
    real.chmod(0o640)
    link.symlink_to(real)
    with Transaction.begin(folder / "state", "test") as transaction:
        transaction.plan([link])
        with transaction.replacement(link) as stream:
            stream.write(b"new")
        transaction.commit()
    assert link.is_symlink()
    assert (real.read_bytes(), real.stat().st_mode & 0o777) == (b"new", 0o640)


def test_what_cannot_be_replaced_whole_is_refused(folder):
    os.link(folder / "data" / "a.csv", folder / "twin.csv")
    with Transaction.begin(folder / "state", "test") as transaction:
        with pytest.raises(UsageError, match="hard link"):
            transaction.plan([folder / "data" / "a.csv"])
        with pytest.raises(InputError, match="not a file"):
            transaction.plan([folder / "data"])
        with pytest.raises(InputError, match="no such file"):
            transaction.plan([folder / "data" / "none.csv"])


def test_a_folder_that_cannot_be_written_to_is_told_in_the_words_of_the_user(folder, monkeypatch):
    """A file system that is read-only refuses to remove even what is not there."""

    def refuse(path, *arguments, **options):
        if "data" in str(path):
            raise OSError(errno.EROFS, "Read-only file system", path)
        return real_unlink(path, *arguments, **options)

    real_unlink = os.unlink
    monkeypatch.setattr("pydp_cli.rewrite.transaction.os.unlink", refuse)
    real_open = os.open

    def refuse_to_make(path, flags, *arguments, **options):
        if flags & os.O_CREAT and "data" in str(path):
            raise OSError(errno.EROFS, "Read-only file system", path)
        return real_open(path, flags, *arguments, **options)

    monkeypatch.setattr("pydp_cli.rewrite.transaction.os.open", refuse_to_make)
    with pytest.raises(OutputError, match="the file system is read-only"):
        change(folder)
    assert state(folder) == OLD
    assert recovery.interrupted(folder / "state") == []


def test_a_staged_file_that_fails_its_check_is_not_swapped_in(folder):
    def refuse(path):
        raise Refused("no", place=path)

    with Transaction.begin(folder / "state", "test") as transaction:
        transaction.plan([folder / "data" / "a.csv"])
        with pytest.raises(Refused), transaction.replacement(folder / "data" / "a.csv", verify=refuse) as stream:
            stream.write(b"half")
        assert transaction.digests() == {}
    assert state(folder) == OLD


def test_a_journal_that_was_altered_is_refused_and_a_torn_line_is_not(folder):
    transaction = Transaction.begin(folder / "state", "test")
    transaction.plan([folder / "data" / "a.csv"])
    path = transaction.journal.path
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"kind": "commit", "fil')
    assert [found.committed for found in recovery.interrupted(folder / "state")] == [False]
    assert path.read_bytes() == whole
    for at in range(0, len(whole) - 1, 7):
        altered = bytearray(whole)
        altered[at] ^= 1
        path.write_bytes(altered)
        lines = whole.count(b"\n")
        try:
            journals = open_journals(folder / "state")
        except Tampered:
            continue
        # only the last line has nobody who vouches for it
        assert journals[0].records[: lines - 1] == transaction.journal.records[: lines - 1]


def test_a_refused_file_leaves_nothing_behind_when_the_others_are_committed(folder):
    def refuse(staged):
        raise InputError("refused")

    def stage(transaction, name, verify=None):
        with transaction.replacement(folder / "data" / name, verify=verify) as stream:
            stream.write(NEW[name])

    with Transaction.begin(folder / "state", "test") as transaction:
        transaction.plan([folder / "data" / name for name in ("a.csv", "c.csv")])
        with pytest.raises(InputError):
            stage(transaction, "c.csv", refuse)
        stage(transaction, "a.csv")
        transaction.commit()
    assert state(folder) == {**OLD, "a.csv": NEW["a.csv"]}


def test_a_record_that_could_not_be_written_is_taken_back(folder, monkeypatch):
    journal = Journal.create(folder / "state", "one")
    journal.append("begin")
    fsync, failed = os.fsync, []

    def fail_once(handle):
        if not failed:
            failed.append(handle)
            raise OSError(5, "Input/output error")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", fail_once)
    with pytest.raises(OSError, match="Input/output"):
        journal.append("commit")
    assert [record["kind"] for record in Journal.open(journal.path).records] == ["begin"]
