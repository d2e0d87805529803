import hashlib
import json
import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta, timezone

import pytest

from pydp_cli.audit import log
from pydp_cli.audit.drop import drop_before
from pydp_cli.audit.lines import read_line
from pydp_cli.audit.log import append, append_all
from pydp_cli.audit.prove import check_proof, prove
from pydp_cli.audit.segments import SEGMENT_LINES, folder_of
from pydp_cli.audit.signing import public_keys_of
from pydp_cli.audit.verify import entries, verify
from pydp_cli.errors import InputError, Refused, UsageError

START = datetime(2026, 11, 1, 12, 0, tzinfo=timezone.utc)


def clock():
    return START


def write(folder, count, signer=None, event="test.event"):
    append_all(folder, [(event, {"number": number}) for number in range(count)], clock=clock, signer=signer)


def kinds(verdict):
    return [finding.kind for finding in verdict.findings]


def edit(path, change):
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(change(lines)))


def test_an_entry_says_what_was_done_and_names_the_line_before(tmp_path):
    first = append(tmp_path, "erase.commit", {"rows": 17}, clock=clock)
    append(tmp_path, "purge.commit", {"rows": 3}, clock=clock)
    lines = folder_of(tmp_path).segment(0).read_bytes().splitlines()
    entry = json.loads(lines[1])
    assert (entry["event"], entry["details"], entry["time"]) == (
        "erase.commit",
        {"rows": 17},
        "2026-11-01T12:00:00.000Z",
    )
    assert json.loads(lines[2])["prev"] == hashlib.sha256(lines[1]).hexdigest() == first.digest
    assert first.seq == 1


def test_only_the_owner_can_read_it(tmp_path):
    write(tmp_path / "state", 1)
    folder = folder_of(tmp_path / "state").path
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_folders_that_it_makes_are_its_owners_alone(tmp_path):
    append(tmp_path / "state" / "holds", "hold.added", {}, clock=clock)
    for folder in ("state", "state/holds", "state/holds/audit"):
        assert (tmp_path / folder).stat().st_mode & 0o777 == 0o700


def test_what_looks_personal_is_withheld(tmp_path):
    append(tmp_path, "test.event", {"file": "mail/anna@example.com.csv", "call": "+49 30 1234567"}, clock=clock)
    assert list(entries(tmp_path))[-1].details == {"file": "mail/(withheld)", "call": "(withheld)"}


def test_paths_that_are_no_text_are_written_in_escapes(tmp_path):
    append(tmp_path, "test.event", {"file": os.fsdecode(b"caf\xe9.csv")}, clock=clock)
    assert verify(tmp_path).sound


@pytest.mark.parametrize("name", ["", "erase", "Erase.commit", "erase commit"])
def test_an_event_has_a_name_that_can_be_asked_for(tmp_path, name):
    with pytest.raises(UsageError):
        append(tmp_path, name, {}, clock=clock)


def test_a_sound_log_verifies_and_says_how_far_it_is_signed(tmp_path, signer, keyring):
    write(tmp_path, 5, signer)
    write(tmp_path, 2)
    verdict = verify(tmp_path, public_keys=public_keys_of(keyring))
    assert verdict.sound
    assert (verdict.lines, verdict.signed_lines) == (8, 6)
    assert verdict.warnings == ["the last 2 lines are not signed yet"]


def test_an_unsigned_log_verifies_with_a_warning(tmp_path):
    write(tmp_path, 3)
    verdict = verify(tmp_path)
    assert verdict.sound
    assert "nothing is signed" in verdict.warnings[0]


def test_no_log_is_no_finding(tmp_path):
    assert verify(tmp_path).sound


@pytest.mark.parametrize("line", [1, 4, 8])
def test_an_altered_line_is_told(tmp_path, line):
    write(tmp_path, 8)
    edit(
        folder_of(tmp_path).segment(0),
        lambda lines: [*lines[:line], lines[line].replace(b'"number":', b'"numbers":'), *lines[line + 1 :]],
    )
    verdict = verify(tmp_path)
    assert kinds(verdict) == ["altered"]
    if line < 8:
        assert verdict.findings[0].message == f"line {line}"


def test_every_byte_counts(tmp_path):
    write(tmp_path, 2)
    path = folder_of(tmp_path).segment(0)
    whole = path.read_bytes()
    for place in range(len(whole) - 1):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        found = set(kinds(verify(tmp_path)))
        assert found, place
        assert found <= {"altered", "missing", "re-ordered", "truncated"}, place


@pytest.mark.parametrize("line", [0, 3, 7])
def test_a_missing_line_is_told(tmp_path, line):
    write(tmp_path, 8)
    edit(folder_of(tmp_path).segment(0), lambda lines: lines[:line] + lines[line + 1 :])
    verdict = verify(tmp_path)
    assert kinds(verdict) == ["missing"]
    assert verdict.findings[0].message == f"line {line}"


def test_re_ordered_lines_are_told(tmp_path):
    write(tmp_path, 8)
    edit(folder_of(tmp_path).segment(0), lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]])
    assert set(kinds(verify(tmp_path))) == {"re-ordered"}


def test_a_repeated_line_is_told(tmp_path):
    write(tmp_path, 8)
    edit(folder_of(tmp_path).segment(0), lambda lines: [*lines[:4], lines[3], *lines[4:]])
    assert set(kinds(verify(tmp_path))) == {"re-ordered"}


def test_a_cut_off_end_is_told(tmp_path):
    write(tmp_path, 8)
    edit(folder_of(tmp_path).segment(0), lambda lines: lines[:-2])
    verdict = verify(tmp_path)
    assert kinds(verdict) == ["truncated"]
    assert "2 lines are cut off" in verdict.findings[0].message


def test_a_cut_off_end_is_told_by_a_checkpoint_kept_elsewhere_where_the_head_was_changed_too(tmp_path, signer):
    write(tmp_path / "state", 3, signer)
    folder = folder_of(tmp_path / "state")
    before = {path: path.read_bytes() for path in folder.path.iterdir()}
    write(tmp_path / "state", 4, signer)
    kept = tmp_path / "anchor"
    kept.write_bytes(folder.signed.read_bytes())
    for path, content in before.items():
        path.write_bytes(content)
    assert verify(tmp_path / "state").sound
    assert kinds(verify(tmp_path / "state", against=[kept])) == ["truncated"]


def test_a_log_made_anew_does_not_pass_a_checkpoint(tmp_path, signer):
    write(tmp_path / "one", 4, signer)
    write(tmp_path / "two", 6, event="test.other")
    signed = folder_of(tmp_path / "two").signed
    signed.write_bytes(folder_of(tmp_path / "one").signed.read_bytes())
    assert "altered" in kinds(verify(tmp_path / "two"))


def test_evidence_survives_the_next_entry(tmp_path):
    write(tmp_path, 8)
    edit(folder_of(tmp_path).segment(0), lambda lines: lines[:-2])
    write(tmp_path, 5)
    assert "conflict" in kinds(verify(tmp_path))
    write(tmp_path, 5)
    assert "conflict" in kinds(verify(tmp_path))


def test_a_damaged_head_is_kept_as_evidence_and_the_log_goes_on(tmp_path):
    write(tmp_path, 3)
    folder_of(tmp_path).head.write_bytes(b"\xff nonsense")
    assert kinds(verify(tmp_path)) == ["malformed"]
    write(tmp_path, 2)
    verdict = verify(tmp_path)
    assert (kinds(verdict), verdict.lines) == (["malformed"], 7)


def test_a_key_that_is_not_ours_is_told(tmp_path, signer):
    write(tmp_path, 2, signer)
    assert kinds(verify(tmp_path, public_keys=[bytes(32)])) == ["unknown key"]


def test_a_wrong_signature_is_told(tmp_path, signer):
    write(tmp_path, 2, signer)
    path = folder_of(tmp_path).signed
    lines = path.read_text().split("\n")
    lines[1] = "2"
    path.write_text("\n".join(lines))
    assert "bad signature" in kinds(verify(tmp_path))


def test_a_torn_line_is_cut_off_and_recorded(tmp_path):
    write(tmp_path, 3)
    path = folder_of(tmp_path).segment(0)
    with path.open("ab") as file:
        file.write(b'{"details":{"rows":')
    assert verify(tmp_path).sound
    write(tmp_path, 1)
    verdict = verify(tmp_path)
    assert (verdict.sound, verdict.repairs, verdict.lines) == (True, 1, 6)
    assert [entry.event for entry in entries(tmp_path)][-2:] == ["audit.repaired", "test.event"]


def test_a_crash_before_the_head_is_written_is_no_finding(tmp_path):
    write(tmp_path, 3)
    head = folder_of(tmp_path).head.read_bytes()
    write(tmp_path, 3)
    folder_of(tmp_path).head.write_bytes(head)
    assert verify(tmp_path).sound
    write(tmp_path, 1)
    assert verify(tmp_path).lines == 8
    assert not folder_of(tmp_path).conflicts()


@pytest.mark.parametrize("written", [0, 40, None])
def test_a_crash_in_the_first_entry_is_no_finding(tmp_path, monkeypatch, written):
    """A head that is missing was taken away: it is there before the first line is."""

    def die(handle, data):
        if b"audit.begin" in data:
            os.write(handle, data[:written])
            raise KeyboardInterrupt
        return real(handle, data)

    real = log._write_all
    with monkeypatch.context() as patched:
        patched.setattr(log, "_write_all", die)
        with pytest.raises(KeyboardInterrupt):
            append(tmp_path, "key.made", {}, clock=clock)
    assert verify(tmp_path).sound
    append(tmp_path, "key.made", {}, clock=clock)
    assert verify(tmp_path).sound
    events = [entry.event for entry in entries(tmp_path)]
    again = ["key.made"] if written is None else ["audit.repaired"] if written else []
    assert events == ["audit.begin", *again, "key.made"]


def test_what_a_killed_writer_had_not_put_in_place_goes_with_the_next_entry(tmp_path):
    write(tmp_path, 1)
    torn = tmp_path / "audit/.head.0123456789abcdef.tmp"
    torn.write_text("torn")
    write(tmp_path, 1)
    assert not torn.exists()


def test_full_segments_are_sealed_and_the_chain_goes_on(tmp_path, signer):
    write(tmp_path, 2 * SEGMENT_LINES + 5, signer)
    folder = folder_of(tmp_path)
    assert folder.numbers("jsonl") == [0, 1, 2]
    assert folder.numbers("seal") == [0, 1]
    verdict = verify(tmp_path)
    assert (verdict.sound, verdict.signed_lines) == (True, 2 * SEGMENT_LINES + 6)


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_appending_around_the_end_of_a_segment(tmp_path, extra):
    write(tmp_path, SEGMENT_LINES - 1 + extra)
    write(tmp_path, 1)
    write(tmp_path, 1)
    verdict = verify(tmp_path)
    assert (verdict.sound, verdict.lines) == (True, SEGMENT_LINES + extra + 2)


def test_a_missing_segment_is_told(tmp_path):
    write(tmp_path, 2 * SEGMENT_LINES + 5)
    folder_of(tmp_path).segment(1).unlink()
    assert kinds(verify(tmp_path)) == ["missing"]
    folder_of(tmp_path).seal(1).unlink()
    assert "missing" in kinds(verify(tmp_path))


def test_a_line_changed_in_a_sealed_segment_is_told(tmp_path):
    write(tmp_path, SEGMENT_LINES + 5)
    edit(
        folder_of(tmp_path).segment(0),
        lambda lines: [*lines[:500], lines[500].replace(b"number", b"count"), *lines[501:]],
    )
    assert set(kinds(verify(tmp_path))) == {"altered"}


def test_dropped_segments_leave_their_seals_and_the_rest_verifies(tmp_path, signer):
    write(tmp_path, 2 * SEGMENT_LINES + 5, signer)
    later = START + timedelta(days=1)
    assert drop_before(tmp_path, START, clock=clock) == []
    assert drop_before(tmp_path, later, clock=lambda: later, signer=signer) == [0, 1]
    verdict = verify(tmp_path)
    assert (verdict.sound, verdict.dropped_segments) == (True, 2)
    assert verdict.signed_lines == verdict.lines
    write(tmp_path, 3, signer)
    assert verify(tmp_path).sound
    folder_of(tmp_path).seal(0).write_bytes(folder_of(tmp_path).seal(1).read_bytes())
    assert not verify(tmp_path).sound


def test_a_log_that_does_not_verify_is_not_dropped(tmp_path):
    write(tmp_path, SEGMENT_LINES + 5)
    edit(folder_of(tmp_path).segment(0), lambda lines: [*lines[:500], lines[501], lines[500], *lines[502:]])
    with pytest.raises(Refused):
        drop_before(tmp_path, START + timedelta(days=1), clock=clock)


def test_a_proof_is_checked_without_the_log(tmp_path, signer):
    write(tmp_path, SEGMENT_LINES + 20, signer)
    for seq in (0, 700, SEGMENT_LINES + 3):
        proven = check_proof(prove(tmp_path, seq), [signer.public], "proof")
        assert (proven.entry.seq, proven.size) == (seq, SEGMENT_LINES + 21)


def test_a_proof_of_another_entry_or_by_another_key_is_refused(tmp_path, signer):
    write(tmp_path, 20, signer)
    proof = prove(tmp_path, 7)
    with pytest.raises(Refused):
        check_proof(proof, [bytes(32)], "proof")
    for line in range(1, 8):
        lines = proof.split("\n")
        middle = len(lines[line]) // 2
        lines[line] = lines[line][:middle] + ("B" if lines[line][middle] != "B" else "C") + lines[line][middle + 1 :]
        with pytest.raises((Refused, InputError)):
            check_proof("\n".join(lines), [signer.public], "proof")


def test_many_processes_append_at_once(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from pydp_cli.audit.log import append\n"
        "from pydp_cli.keys.keyring import utc_now\n"
        "for n in range(20): append(Path(sys.argv[1]), 'test.event', {'n': n}, clock=utc_now)"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(4)]
    assert [process.wait() for process in running] == [0] * 4
    verdict = verify(tmp_path)
    assert (verdict.sound, verdict.lines) == (True, 81)


def test_a_killed_writer_leaves_a_log_that_goes_on(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from pydp_cli.audit.log import append\n"
        "from pydp_cli.keys.keyring import utc_now\n"
        "print(1, flush=True)\n"
        "while True: append(Path(sys.argv[1]), 'test.event', {'n': 'x' * 5000}, clock=utc_now)"
    )
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
        process.stdout.readline()
        while not folder_of(tmp_path).head.exists():
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        write(tmp_path, 1)
        assert verify(tmp_path).sound


def test_a_line_reads_back_only_as_it_is_written(tmp_path):
    write(tmp_path, 1)
    line = folder_of(tmp_path).segment(0).read_bytes().splitlines()[1]
    assert read_line(line) is not None
    assert read_line(line.replace(b'":', b'": ', 1)) is None
    assert read_line(b"[]") is None


def test_a_list_of_keys_that_was_altered_stops_no_recording_and_is_told(tmp_path, signer):
    write(tmp_path, 3, signer)
    keys = folder_of(tmp_path).keys
    keys.write_bytes(b"\xff\xfe not a list \x00")
    write(tmp_path, 2, signer)
    assert len(list(entries(tmp_path))) == 6  # with the first, which names the log
    assert keys.read_bytes() == b"\xff\xfe not a list \x00"
    assert "malformed" in kinds(verify(tmp_path))


@pytest.mark.parametrize("name", ["head", "checkpoint", "keys"])
def test_every_byte_beside_the_lines_counts(tmp_path, signer, keyring, name):
    write(tmp_path, 2, signer)
    path = tmp_path / "audit" / name
    raw = path.read_bytes()
    for place in range(len(raw) - 1):
        for bit in (1, 2, 4):
            path.write_bytes(raw[:place] + bytes([raw[place] ^ bit]) + raw[place + 1 :])
            assert not verify(tmp_path, public_keys=public_keys_of(keyring)).sound


def test_a_checkpoint_of_another_log_is_told(tmp_path, signer, keyring):
    write(tmp_path / "one", 3, signer)
    write(tmp_path / "two", 2, signer)
    other = tmp_path / "two/audit/checkpoint"
    (finding, *_) = verify(tmp_path / "one", public_keys=public_keys_of(keyring), against=[other]).findings
    assert (finding.kind, finding.message) == ("altered", "it is of another log")
