"""What becomes of files when processes end early: signals, closed pipes, full disks, two runs at once."""

import os
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROWS = 400_000
KEEP = ("--keep", "id,text")


@pytest.fixture
def big(work):
    work.write("big.csv", "id,text\n" + "".join(f"{row},some text of row {row}\n" for row in range(ROWS)))
    return work


def wait_for_temp(work, process):
    while process.poll() is None:
        if work.left_over():
            return
        time.sleep(0.005)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_no_temp_file_and_the_old_output(big, number, workers):
    big.write("out.csv", "old")
    process = big.start(
        *("anonymize", "big.csv", "-o", "out.csv", "--force", "--workers", workers, *KEEP), stderr=subprocess.PIPE
    )
    wait_for_temp(big, process)
    process.send_signal(number)
    _, err = process.communicate()
    # by the signal itself, where it came after the work was done
    assert process.returncode in {128 + number, 0, -number}
    assert b"Traceback" not in err
    assert big.left_over() == []
    assert big.read("out.csv") == ("old" if process.returncode == 128 + number else big.read("big.csv"))


def test_kill_at_random_moments_never_leaves_a_damaged_output(big):
    expected = big.read("big.csv")
    big.write("out.csv", "old")
    for attempt in range(12):
        process = big.start(
            "anonymize", "big.csv", "-o", "out.csv", "--force", "--workers", 1 + attempt % 2, *KEEP, "-q"
        )
        wait_for_temp(big, process)
        time.sleep(0.03 * attempt)
        process.kill()
        process.wait()
        assert big.read("out.csv") in {"old", expected}
    assert big.pydp("anonymize", "big.csv", "-o", "out.csv", "--force", *KEEP, "-q").code == 0
    assert big.read("out.csv") == expected
    assert big.left_over() == []


def test_a_reader_that_goes_away_ends_the_run_quietly(big):
    process = big.start("anonymize", "big.csv", *KEEP, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait() == 0


def test_a_full_disk_in_the_middle_is_told_and_leaves_nothing(big):
    def small_files_only():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    process = big.start(
        "anonymize", "big.csv", "-o", "out.csv", *KEEP, stderr=subprocess.PIPE, preexec_fn=small_files_only
    )
    _, err = process.communicate()
    assert process.returncode == 2
    assert b"pydp: error: out.csv:" in err
    assert not big.path("out.csv").exists()
    assert big.left_over() == []


def test_stdin_to_stdout_works_in_a_pipe(big):
    with big.path("big.csv").open("rb") as stdin:
        process = big.start("anonymize", "-", "--input-format", "csv", *KEEP, "-q", stdin=stdin, stdout=subprocess.PIPE)
        out, _ = process.communicate()
    assert process.returncode == 0
    assert out.decode() == big.read("big.csv")


@pytest.mark.skipif(os.geteuid() == 0 and not hasattr(os, "seteuid"), reason="needs to give up being root")
def test_a_read_only_folder_is_told(big, tmp_path):
    shut = big.path("shut")
    shut.mkdir()
    if os.geteuid() == 0:
        result = big.pydp("anonymize", "big.csv", "-o", "/proc/nowhere/out.csv", *KEEP)
    else:
        shut.chmod(0o500)
        result = big.pydp("anonymize", "big.csv", "-o", "shut/out.csv", *KEEP)
    assert result.code == 2
    assert "out.csv" in result.err


def test_two_runs_on_one_target_leave_one_whole_file(big):
    runs = [big.start("anonymize", "big.csv", "-o", "out.csv", "--force", *KEEP, "-q") for _ in range(2)]
    assert [run.wait() for run in runs] == [0, 0]
    assert big.read("out.csv") == big.read("big.csv")
    assert big.left_over() == []


def test_an_answer_that_cannot_be_written_is_told(work):
    with Path("/dev/full").open("wb") as full:
        process = work.start("policy", "schema", stdout=full, stderr=subprocess.PIPE)
        _, said = process.communicate()
    assert process.returncode == 2
    assert said == b"pydp: error: standard output: the disk is full\n"
