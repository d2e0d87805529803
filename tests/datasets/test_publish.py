# The block that must fail often has steps that lead up to it.
# ruff: noqa: PT012, PTH208

import errno
import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pydp_cli.datasets import publish
from pydp_cli.datasets.publish import Publication, staged
from pydp_cli.datasets.signals import Terminated, terminate_as_exception, uninterrupted
from pydp_cli.errors import OutputError, PydpError, Refused, UsageError


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def names(folder):
    return sorted(os.listdir(folder))


def test_the_output_appears_whole_and_for_its_owner_only(tmp_path):
    target = tmp_path / "out.csv"
    with staged(str(target)) as stream:
        stream.write(b"a,b\n")
        stream.flush()
        assert not target.exists()
        (temp,) = tmp_path.iterdir()
        assert mode_of(temp) == 0o600
        assert temp.name.startswith(f".out.csv.pydp-{os.getpid()}-")
    assert target.read_bytes() == b"a,b\n"
    assert mode_of(target) == 0o600
    assert names(tmp_path) == ["out.csv"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, Terminated, SystemExit])
def test_nothing_is_left_when_the_work_fails(tmp_path, failure):
    target = tmp_path / "out.csv"
    target.write_text("old")
    with pytest.raises(failure), staged(str(target), force=True) as stream:
        stream.write(b"new" * 1_000_000)
        raise failure(15)
    assert target.read_text() == "old"
    assert names(tmp_path) == ["out.csv"]


def test_an_existing_output_is_kept_unless_forced(tmp_path):
    target = tmp_path / "out.csv"
    target.write_text("old")
    with pytest.raises(OutputError, match="exists"), staged(str(target)):
        pass
    with staged(str(target), force=True) as stream:
        stream.write(b"new")
    assert target.read_text() == "new"


def test_a_replaced_file_keeps_its_mode(tmp_path):
    target = tmp_path / "out.csv"
    target.write_text("old")
    target.chmod(0o640)
    with staged(str(target), force=True) as stream:
        stream.write(b"new")
    assert mode_of(target) == 0o640


def test_a_file_that_appears_meanwhile_is_not_overwritten(tmp_path):
    target = tmp_path / "out.csv"
    with pytest.raises(OutputError, match="appeared"), staged(str(target)) as stream:
        stream.write(b"mine")
        target.write_text("theirs")
    assert target.read_text() == "theirs"
    assert names(tmp_path) == ["out.csv"]


def test_a_file_system_without_hard_links_still_publishes(tmp_path, monkeypatch):
    def no_links(*args, **options):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(publish.os, "link", no_links)
    with staged(str(tmp_path / "out.csv")) as stream:
        stream.write(b"x")
    assert names(tmp_path) == ["out.csv"]
    with pytest.raises(OutputError, match="appeared"), staged(str(tmp_path / "two.csv")) as stream:
        (tmp_path / "two.csv").write_text("theirs")


def test_several_outputs_appear_together(tmp_path):
    with Publication() as publication:
        for name in ("a", "b"):
            publication.stage(str(tmp_path / name)).stream.write(name.encode())
        assert [name for name in names(tmp_path) if not name.startswith(".")] == []
        publication.commit()
    assert names(tmp_path) == ["a", "b"]


def test_one_refused_output_holds_all_back(tmp_path):
    def refuse(path):
        raise Refused("not what was expected")

    with pytest.raises(Refused), Publication() as publication:
        publication.stage(str(tmp_path / "a")).stream.write(b"a")
        publication.stage(str(tmp_path / "b"), verify=refuse).stream.write(b"b")
        publication.commit()
    assert names(tmp_path) == []


def test_verification_sees_what_is_on_disk(tmp_path):
    seen = []
    with staged(str(tmp_path / "a"), verify=lambda path: seen.append(Path(path).read_bytes())) as stream:
        stream.write(b"content")
    assert seen == [b"content"]


def test_a_failure_midway_says_what_is_published(tmp_path):
    with pytest.raises(OutputError) as caught, Publication() as publication:
        for name in ("a", "b", "c"):
            publication.stage(str(tmp_path / name)).stream.write(b"x")
        (tmp_path / "b").write_text("theirs")
        publication.commit()
    assert str(tmp_path / "a") in caught.value.hint
    assert names(tmp_path) == ["a", "b"]
    assert (tmp_path / "b").read_text() == "theirs"


def test_in_place_keeps_mode_and_extended_attributes(tmp_path):
    target = tmp_path / "data.csv"
    target.write_text("old")
    target.chmod(0o644)
    try:
        os.setxattr(target, "user.origin", b"crm")
    except OSError:
        attributes = False
    else:
        attributes = True
    with staged(str(target), in_place=True) as stream:
        stream.write(b"new")
    assert target.read_text() == "new"
    assert mode_of(target) == 0o644
    assert not attributes or os.getxattr(target, "user.origin") == b"crm"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_in_place_keeps_the_owner(tmp_path):
    target = tmp_path / "data.csv"
    target.write_text("old")
    os.chown(target, 1234, 2345)
    with staged(str(target), in_place=True) as stream:
        stream.write(b"new")
    assert (target.stat().st_uid, target.stat().st_gid) == (1234, 2345)


def test_in_place_refuses_a_file_with_another_hard_link(tmp_path):
    target = tmp_path / "data.csv"
    target.write_text("old")
    os.link(target, tmp_path / "other.csv")
    with pytest.raises(UsageError, match="hard link"), staged(str(target), in_place=True):
        pass
    assert names(tmp_path) == ["data.csv", "other.csv"]


def test_a_symbolic_link_stays_and_its_file_is_replaced(tmp_path):
    (tmp_path / "deep").mkdir()
    real = tmp_path / "deep" / "real.csv"
    real.write_text("old")
    link = tmp_path / "link.csv"
    link.symlink_to("deep/real.csv")
    with staged(str(link), in_place=True) as stream:
        stream.write(b"new")
        assert len(names(tmp_path / "deep")) == 2  # the temp is beside the file, not beside the link
    assert link.is_symlink()
    assert real.read_text() == "new"


def test_a_long_name_is_no_obstacle(tmp_path):
    target = tmp_path / ("ä" * 125 + ".csv")
    with staged(str(target)) as stream:
        stream.write(b"x")
    assert target.read_bytes() == b"x"


@pytest.mark.parametrize("within", [["gone", "out.csv"], ["file", "out.csv"], [""]])
def test_an_impossible_place_is_an_output_error(tmp_path, within):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError), staged(os.path.join(tmp_path, *within)):  # noqa: PTH118
        pass


def test_missing_folders_are_made_and_unmade(tmp_path):
    target = str(tmp_path / "a" / "b" / "out.csv")
    with pytest.raises(ValueError), Publication() as publication:
        publication.stage(target, make_folders=True)
        raise ValueError
    assert names(tmp_path) == []
    with Publication() as publication:
        publication.stage(target, make_folders=True)
        publication.commit()
    assert names(tmp_path / "a" / "b") == ["out.csv"]


def run(script, *arguments, **options):
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True, check=False, **options
    )


WRITE = """
import os, sys
from pydp_cli.datasets.publish import staged
from pydp_cli.errors import OutputError
{prepare}
try:
    with staged(sys.argv[1], force=True) as stream:
        for _ in range(64):
            stream.write(b"x" * 65536)
except OutputError as error:
    print(error, "|", error.hint)
"""


def test_a_file_size_limit_is_an_output_error_and_leaves_nothing(tmp_path):
    (tmp_path / "out").write_text("old")
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))"
    done = run(WRITE.format(prepare=limit), tmp_path / "out")
    assert "limit" in done.stdout, done.stderr
    assert names(tmp_path) == ["out"]
    assert (tmp_path / "out").read_text() == "old"


@pytest.mark.parametrize("call", ["fsync", "fchmod", "replace"])
def test_a_full_disk_at_the_end_is_an_output_error_and_leaves_nothing(tmp_path, monkeypatch, call):
    def full(*args, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "out").write_text("old")
    monkeypatch.setattr(publish.os, call, full)
    with pytest.raises(OutputError, match="disk is full"), staged(str(tmp_path / "out"), force=True) as stream:
        stream.write(b"x")
    assert names(tmp_path) == ["out"]
    assert (tmp_path / "out").read_text() == "old"


def test_a_full_device_is_an_output_error():
    with pytest.raises(OutputError, match="disk is full"), Publication() as publication:
        output = publication.stage("/dev/full")
        output.stream.write(b"x")
        publication.commit()


def test_a_read_only_folder_is_an_output_error(tmp_path):
    folder = tmp_path / "ro"
    folder.mkdir()
    folder.chmod(0o500)
    prepare = "os.getuid() or os.setuid(65534)"
    tmp_path.chmod(0o755)
    done = run(WRITE.format(prepare=prepare), folder / "out")
    assert "permission" in done.stdout, done.stderr
    assert names(folder) == []


def test_devices_pipes_and_descriptors_are_written_directly(tmp_path):
    with staged("/dev/null") as stream:
        stream.write(b"x")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    got = []
    reader = threading.Thread(target=lambda: got.append(fifo.read_bytes()))
    reader.start()
    with staged(str(fifo)) as stream:
        stream.write(b"through")
    reader.join()
    assert got == [b"through"]
    assert names(tmp_path) == ["fifo"]
    for target in ("-", "/dev/stdout"):
        with (tmp_path / "redirected").open("wb") as out:
            script = f"from pydp_cli.datasets.publish import staged\nwith staged({target!r}) as s: s.write(b'hello')"
            subprocess.run([sys.executable, "-c", script], stdout=out, check=True)
        assert (tmp_path / "redirected").read_bytes() == b"hello"


def test_a_closed_pipe_is_a_broken_pipe_error():
    read_end, write_end = os.pipe()
    os.close(read_end)
    with pytest.raises(BrokenPipeError), Publication() as publication:
        output = publication.stage(f"/dev/fd/{write_end}")
        output.stream.write(b"x" * 1_000_000)
    os.close(write_end)


LOOP = """
import sys
from pydp_cli.datasets.publish import staged
print("ready", flush=True)
number = 0
while True:
    number += 1
    with staged(sys.argv[1], force=True) as stream:
        for _ in range(20):
            stream.write(b"%09d\\n" % number * 3000)
"""


def test_kill_9_at_random_moments_never_damages_the_output(tmp_path):
    target = tmp_path / "out"
    chance = random.Random(3)
    for _ in range(25):
        child = subprocess.Popen([sys.executable, "-c", LOOP, str(target)], stdout=subprocess.PIPE)
        child.stdout.readline()
        time.sleep(chance.random() * 0.03)
        child.kill()
        child.wait()
        child.stdout.close()
        if target.exists():
            lines = target.read_bytes().split(b"\n")
            assert len(lines) == 60_001
            assert len(set(lines[:-1])) == 1
        assert len(names(tmp_path)) <= 2  # one temp at most: each run clears away what the last one left
    with staged(str(target), force=True) as stream:
        stream.write(b"end")
    assert names(tmp_path) == ["out"]


def test_temps_of_others_are_left_alone(tmp_path):
    keep = [
        f".out.pydp-{os.getppid()}-00000000.tmp",  # alive
        ".other.pydp-999999999-00000000.tmp",
        ".out.pydp-x-00000000.tmp",
        ".out.tmp",
    ]
    for name in [*keep, ".out.pydp-999999999-00000000.tmp"]:
        (tmp_path / name).write_text("")
    with staged(str(tmp_path / "out")):
        pass
    assert names(tmp_path) == sorted([*keep, "out"])


def test_a_temp_that_is_locked_is_alive_whatever_its_number_says(tmp_path):
    import fcntl

    other = tmp_path / ".out.pydp-999999999-00000000.tmp"
    with other.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with staged(str(tmp_path / "out")):
            pass
        assert other.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_leave_no_temp(tmp_path, number):
    script = """
import sys, time
from pydp_cli.datasets.publish import staged
from pydp_cli.datasets.signals import terminate_as_exception
try:
    with terminate_as_exception(), staged(sys.argv[1]) as stream:
        stream.write(b"x" * 1_000_000)
        print("ready", flush=True)
        time.sleep(60)
except KeyboardInterrupt as error:
    print(type(error).__name__)
"""
    child = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "out")], stdout=subprocess.PIPE, text=True)
    child.stdout.readline()
    child.send_signal(number)
    out, _ = child.communicate()
    assert out.strip() == ("KeyboardInterrupt" if number == signal.SIGINT else "Terminated")
    assert names(tmp_path) == []


def test_a_second_signal_does_not_stop_the_clean_up():
    cleaned = []
    with pytest.raises(Terminated) as caught, terminate_as_exception():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            cleaned.append(True)
    assert cleaned
    assert caught.value.signum == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_an_ignored_hangup_stays_ignored():
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with terminate_as_exception():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, previous)


def test_signals_wait_until_a_critical_part_is_over():
    done = []
    with pytest.raises(Terminated), terminate_as_exception():
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGTERM)
            done.append(True)
        time.sleep(10)
    assert done


def test_a_signal_during_the_commit_waits_until_all_outputs_are_there(tmp_path, monkeypatch):
    real_link = os.link

    def link_and_signal(*args, **options):
        real_link(*args, **options)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(publish.os, "link", link_and_signal)
    with pytest.raises(Terminated), terminate_as_exception(), Publication() as publication:
        for name in ("a", "b", "c"):
            publication.stage(str(tmp_path / name))
        publication.commit()
        time.sleep(10)
    assert names(tmp_path) == ["a", "b", "c"]


def test_of_two_runs_on_one_target_one_wins_and_the_other_says_so(tmp_path):
    target = str(tmp_path / "out")
    results = []
    barrier = threading.Barrier(8)

    def attempt(number):
        try:
            with staged(target) as stream:
                stream.write(str(number).encode() * 100_000)
                barrier.wait()
        except PydpError as error:
            results.append(str(error))
        else:
            results.append(number)

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [one for one in results if isinstance(one, int)]
    assert len(winners) == 1
    assert (tmp_path / "out").read_bytes() == str(winners[0]).encode() * 100_000
    assert names(tmp_path) == ["out"]
