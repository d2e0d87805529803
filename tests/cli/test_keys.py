"""`pydp keys` as a user runs it."""

import json
import os
import pty
import resource
import signal
import stat
import subprocess
import sys

import pytest

from pydp_cli.errors import Refused

KEY = ("--keyring", "ring", "--key-file", "key")
CHANGES = {
    "add-protector": ("--new-key-file", "other.key"),
    "split": ("--threshold", "2", "--shares", "3", "-o", "shares"),
    "backup": ("copy",),
    "new-version": ("cell",),
}


def listed(work, *unlock):
    return json.loads(work.pydp("keys", "list", "--json", *(unlock or KEY)).out)


def ids(work, name, *unlock):
    return [row["id"] for row in listed(work, *unlock) if row["key"] == name]


def protectors(work):
    return json.loads(work.pydp("keys", "show", "--json", *KEY).out)["protectors"]


def on_a_terminal(work, *arguments, typed):
    """Run the command with a terminal in front of it, and type the lines when it asks."""
    command = [sys.executable, "-m", "pydp_cli.cli.app", *map(str, arguments)]
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(work.folder)
        os.execv(command[0], command)  # noqa: S606
    shown = fresh = b""
    lines = list(typed)
    try:
        while True:
            fresh += os.read(terminal, 4096)
            if lines and fresh.rstrip().endswith((b":", b"]", b"?")):
                os.write(terminal, lines.pop(0).encode() + b"\n")
                shown, fresh = shown + fresh, b""
    except OSError:  # the terminal is gone: the command has ended
        pass
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), (shown + fresh).decode()


def test_keys_are_listed_without_a_secret(work):
    result = work.pydp("keys", "list", *KEY)
    assert result.code == 0
    heading, *lines = result.out.splitlines()
    assert heading.split() == ["key", "version", "id", "state", "since"]
    assert [line.split()[0] for line in lines] == ["cell", "file", "pseudonym", "sign", "token"]
    assert all(line.split()[3] == "primary" for line in lines)


def test_the_ring_shows_its_protectors(work):
    result = work.pydp("keys", "show", *KEY)
    assert result.code == 0
    assert "generation 1, 5 keys" in result.out
    assert "key-file" in result.out
    shown = work.pydp("keys", "show", "--json", *KEY).out
    assert "wrapped" not in shown
    assert json.loads(shown)["protectors"][0]["type"] == "key-file"


def test_a_locked_ring_shows_what_the_file_says_with_a_warning(work):
    result = work.pydp("keys", "list", "--locked", "--keyring", "ring")
    assert result.code == 0
    assert "pseudonym" in result.out
    assert "was not unlocked" in result.err


def test_one_key_is_shown_by_its_name_or_id(work):
    (key_id,) = ids(work, "cell")
    for named in ("cell", key_id):
        (shown,) = json.loads(work.pydp("keys", "show", named, "--json", *KEY).out)
        assert (shown["id"], shown["state"]) == (key_id, "primary")
    assert work.pydp("keys", "show", "nothing", *KEY).code == 2


def test_a_person_with_a_key_file_is_added_and_removed(work):
    added = work.pydp("keys", "add-protector", "--new-key-file", "ci.key", "--label", "CI", *KEY)
    assert added.code == 0, added.err
    assert stat.S_IMODE(work.path("ci.key").stat().st_mode) == 0o600
    assert listed(work, "--keyring", "ring", "--key-file", "ci.key")
    assert [slot.get("label") for slot in protectors(work)] == [None, "CI"]
    assert work.pydp("keys", "remove-protector", "CI", *KEY).code == 0
    assert work.pydp("keys", "list", "--keyring", "ring", "--key-file", "ci.key").code == 3
    assert listed(work)


def test_a_key_file_that_exists_is_used_and_not_written_over(work):
    work.pydp("keys", "add-protector", "--new-key-file", "ci.key", *KEY)
    before = work.read("ci.key")
    assert work.pydp("keys", "init", "--keyring", "second", "--key-file", "ci.key").code == 0
    assert work.read("ci.key") == before
    assert listed(work, "--keyring", "second", "--key-file", "ci.key")
    again = work.pydp("keys", "add-protector", "--new-key-file", "ci.key", *KEY)
    assert again.code == 2
    assert "in the keyring already" in again.err


def test_the_last_protector_and_the_one_in_use_are_not_removed(work):
    own = protectors(work)[0]["id"]
    last = work.pydp("keys", "remove-protector", own, *KEY)
    assert (last.code, "last protector" in last.err) == (2, True)
    work.pydp("keys", "add-protector", "--new-key-file", "ci.key", *KEY)
    used = work.pydp("keys", "remove-protector", own, *KEY)
    assert (used.code, "just unlocked" in used.err) == (2, True)
    assert work.pydp("keys", "remove-protector", own, "--force", *KEY).code == 0
    assert work.pydp("keys", "list", *KEY).code == 3


def test_a_protector_is_replaced_in_one_step(work):
    work.pydp("keys", "add-protector", "--new-key-file", "old.key", "--label", "ops", *KEY)
    done = work.pydp("keys", "add-protector", "--new-key-file", "new.key", "--label", "ops", "--replace", "ops", *KEY)
    assert done.code == 0, done.err
    assert len(protectors(work)) == 2
    assert listed(work, "--keyring", "ring", "--key-file", "new.key")
    assert work.pydp("keys", "list", "--keyring", "ring", "--key-file", "old.key").code == 3


@pytest.mark.parametrize("kind", ["x25519", "mlkem768x25519"])
def test_a_recipient_is_added_by_what_is_public_and_opens_with_the_identity(work, kind):
    made = work.pydp("keys", "identity", "new", "alice.identity", "--kind", kind)
    assert made.code == 0
    assert made.out.startswith(f"pydp-{kind}:")
    assert stat.S_IMODE(work.path("alice.identity").stat().st_mode) == 0o600
    assert work.pydp("keys", "identity", "show", "alice.identity").out == made.out
    work.write("alice.pub", made.out)
    added = work.pydp("keys", "add-protector", "recipient", "recipient=alice.pub", "--label", "Alice", *KEY)
    assert added.code == 0, added.err
    assert listed(work, "--keyring", "ring", "--identity", "alice.identity")
    work.pydp("keys", "identity", "new", "eve.identity", "-q")
    assert work.pydp("keys", "list", "--keyring", "ring", "--identity", "eve.identity").code == 3


def test_a_passphrase_comes_from_a_file_or_a_descriptor(work):
    work.write("pass", "correct horse battery\n").chmod(0o600)
    assert work.pydp("keys", "init", "--keyring", "spoken", "--passphrase-file", "pass").code == 0
    assert listed(work, "--keyring", "spoken", "--passphrase-file", "pass")
    for typed, code in (("correct horse battery\n", 0), ("wrong horse battery\n", 3)):
        reader, writer = os.pipe()
        os.write(writer, typed.encode())
        os.close(writer)
        result = work.pydp("keys", "list", "--keyring", "spoken", "--passphrase-fd", reader)
        assert result.code == code
        assert "horse" not in result.out + result.err


def test_a_passphrase_is_asked_for_on_a_terminal_and_not_shown(work):
    arguments = ("keys", "init", "--keyring", "spoken")
    code, shown = on_a_terminal(work, *arguments, typed=["correct horse", "correct horse"])
    assert code == 0, shown
    assert "horse" not in shown
    code, shown = on_a_terminal(work, "keys", "list", "--keyring", "spoken", typed=["correct horse"])
    assert (code, "pseudonym" in shown) == (0, True)
    code, shown = on_a_terminal(work, "keys", "list", "--keyring", "spoken", typed=["wrong"])
    assert (code, "not what unlocks" in shown) == (3, True)
    code, shown = on_a_terminal(work, "keys", "init", "--keyring", "third", typed=["one", "other"])
    assert (code, work.path("third").exists()) == (2, False)


def test_without_a_terminal_nothing_is_asked(work):
    command = work.start("keys", "init", "--keyring", "x", stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    _, err = command.communicate()
    assert command.returncode == 2
    assert "no terminal" in err
    assert "--passphrase-file" not in work.pydp("keys", "list", "--keyring", "ring", "--key-file", "key").err


@pytest.mark.parametrize("what", ["key", "ring", "pass", "alice.identity"])
def test_files_that_others_can_read_are_refused(work, what):
    work.write("pass", "correct horse battery\n").chmod(0o600)
    work.pydp("keys", "identity", "new", "alice.identity", "-q")
    work.path(what).chmod(0o640)
    unlock = {"pass": ("--passphrase-file", "pass"), "alice.identity": ("--identity", "alice.identity")}
    if what == "pass":
        work.path("pass").chmod(0o600)
        work.pydp("keys", "add-protector", "--new-passphrase-file", "pass", *KEY)
        work.path("pass").chmod(0o640)
    if what == "alice.identity":
        work.path("alice.identity").chmod(0o600)
        work.write("alice.pub", work.pydp("keys", "identity", "show", "alice.identity").out)
        work.pydp("keys", "add-protector", "recipient", "recipient=alice.pub", *KEY)
        work.path("alice.identity").chmod(0o640)
    result = work.pydp("keys", "list", "--keyring", "ring", *unlock.get(what, ("--key-file", "key")))
    assert result.code == 2
    assert "can be read by others" in result.err
    assert f"chmod 600 {what}" in result.err


def test_no_option_takes_a_secret(work):
    for arguments in (
        ("keys", "init", "--keyring", "x", "--passphrase", "hunter22"),
        ("keys", "init", "passphrase", "passphrase=hunter22", "--keyring", "x"),
        ("keys", "init", "passphrase", "hunter22", "--keyring", "x"),
        ("keys", "add-protector", "recipient", "hunter22=x=y", *KEY),
        ("keys", "add-protector", "command", "secert=hunter22", *KEY),
    ):
        result = work.pydp(*arguments)
        assert result.code == 2
        assert "hunter22" not in result.err
        assert not work.path("x").exists()


def test_a_command_that_was_never_run_here_is_asked_about_first(work, tmp_path, monkeypatch):
    work.write("secret", "correct horse battery\n")
    added = work.pydp("keys", "add-protector", "command", "secret=cat secret", *KEY)
    assert added.code == 0, added.err
    ring = ("--keyring", "ring")
    assert work.pydp("keys", "list", *ring).code == 0, "the machine that added it has authenticated it"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
    refused = work.pydp("keys", "list", *ring)
    assert (refused.code, "never run for it here: cat secret" in refused.err) == (2, True)
    assert work.pydp("keys", "list", *ring, "--unlock-command", "cat other").code == 2
    code, shown = on_a_terminal(work, "keys", "list", *ring, typed=["n"])
    assert (code, "Run it?" in shown) == (2, True), shown
    code, shown = on_a_terminal(work, "keys", "list", *ring, typed=["y"])
    assert (code, "pseudonym" in shown) == (0, True), shown
    assert work.pydp("keys", "list", *ring).code == 0, "it is remembered"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "third"))
    assert work.pydp("keys", "list", *ring, "--unlock-command", "cat 'secret'").code == 0


def test_any_two_of_three_shares_unlock_and_one_does_not(work):
    result = work.pydp("keys", "split", "--threshold", 2, "--shares", 3, "-o", "shares", *KEY)
    assert result.code == 0, result.err
    files = sorted(work.path("shares").iterdir())
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600] * 3
    work.path("key").unlink()
    alone = work.pydp("keys", "combine", "--share-file", files[0], "--new-key-file", "new", "--keyring", "ring")
    assert (alone.code, "it takes 2" in alone.err) == (3, True)
    assert not work.path("new").exists()
    both = ("--share-file", files[2], "--share-file", files[0], "--keyring", "ring")
    assert work.pydp("keys", "combine", *both, "--new-key-file", "new").code == 0
    assert listed(work, "--keyring", "ring", "--key-file", "new")
    assert listed(work, *both)


def test_shares_are_typed_on_a_terminal(work):
    shares = work.pydp("keys", "split", "--threshold", 2, "--shares", 2, "-o", "-", *KEY).out.splitlines()
    assert len(shares) == 2
    arguments = ("keys", "combine", "--keyring", "ring", "--new-key-file", "new")
    code, shown = on_a_terminal(work, *arguments, typed=[shares[0].lower(), shares[1], ""])
    assert code == 0, shown
    assert shares[1] not in shown
    assert listed(work, "--keyring", "ring", "--key-file", "new")


def test_shares_that_cannot_all_be_written_are_not_made(work):
    work.write("shares/share-2-of-3.txt", "somebody's")
    result = work.pydp("keys", "split", "--threshold", 2, "--shares", 3, "-o", "shares", *KEY)
    assert result.code == 2
    assert [path.name for path in work.path("shares").iterdir()] == ["share-2-of-3.txt"]
    assert len(protectors(work)) == 1


def test_a_backup_is_proven_and_stops_being_one_when_the_ring_changes(work):
    assert work.pydp("keys", "backup", "copy", *KEY).code == 0
    assert stat.S_IMODE(work.path("copy").stat().st_mode) == 0o600
    proven = work.pydp("keys", "verify-backup", "copy", "--json", *KEY)
    assert (proven.code, json.loads(proven.out)["keys"]) == (0, 5)
    assert work.pydp("keys", "backup", "copy", *KEY).code == 2
    work.pydp("keys", "new-version", "cell", *KEY)
    stale = work.pydp("keys", "verify-backup", "copy", *KEY)
    assert stale.code == 3
    assert "lacks 1 of 6 keys" in stale.err
    work.path("copy").write_bytes(work.path("copy").read_bytes().replace(b"primary", b"enabled", 1))
    assert work.pydp("keys", "verify-backup", "copy", *KEY).code == 3


def test_a_lost_keyring_is_replaced_by_its_backup(work):
    work.pydp("anonymize", "-o", "before.csv", "--key-file", "key")
    work.pydp("keys", "backup", "copy", *KEY)
    work.path("ring").unlink()
    work.path("copy").rename(work.path("ring"))
    assert work.pydp("anonymize", "-o", "after.csv", "--key-file", "key").code == 0
    assert work.read("after.csv") == work.read("before.csv")


def test_an_older_keyring_is_refused_by_every_command(work):
    old = work.path("ring").read_bytes()
    work.pydp("keys", "new-version", "cell", *KEY)
    work.path("ring").write_bytes(old)
    for arguments in (
        ("keys", "list", *KEY),
        ("keys", "new-version", "cell", *KEY),
        ("anonymize", "--key-file", "key"),
    ):
        result = work.pydp(*arguments)
        assert result.code == 3
        assert "older than one that was used before" in result.err


def test_a_new_keyring_is_remembered_from_the_start(work):
    work.pydp("keys", "init", "--keyring", "r2", "--key-file", "k2")
    old = work.path("r2").read_bytes()
    work.pydp("keys", "new-version", "cell", "--keyring", "r2", "--key-file", "k2")
    work.path("r2").write_bytes(old)
    assert work.pydp("keys", "list", "--keyring", "r2", "--key-file", "k2").code == 3


def test_a_new_version_makes_new_data_and_the_old_one_can_be_retired(work):
    (first,) = ids(work, "cell")
    made = work.pydp("keys", "new-version", "cell", "--json", *KEY)
    second = json.loads(made.out)["id"]
    assert ids(work, "cell") == [first, second]
    assert work.pydp("keys", "disable", second, *KEY).code == 2
    assert work.pydp("keys", "disable", first, *KEY).code == 0
    assert work.pydp("keys", "enable", first, *KEY).code == 0
    assert work.pydp("keys", "destroy", first, "--accept-loss", first, *KEY).code == 2, "it is enabled"
    assert work.pydp("keys", "disable", first, *KEY).code == 0
    assert work.pydp("keys", "destroy", first, "--accept-loss", second, *KEY).code == 2
    assert {row["state"] for row in listed(work) if row["id"] == first} == {"disabled"}
    assert work.pydp("keys", "destroy", first, "--accept-loss", first, *KEY).code == 0
    assert {row["state"] for row in listed(work) if row["id"] == first} == {"destroyed"}
    assert work.pydp("keys", "enable", first, *KEY).code == 2


def test_a_new_pseudonym_version_warns_and_changes_pseudonyms(work):
    before = work.pydp("anonymize", "--key-file", "key").out
    result = work.pydp("keys", "new-version", "pseudonym/person", *KEY)
    assert (result.code, "will not be equal" in result.err) == (0, True)
    after = work.pydp("anonymize", "--key-file", "key").out
    assert before.splitlines()[1].split(",")[0] != after.splitlines()[1].split(",")[0]
    assert before.splitlines()[1].split(",")[2] == after.splitlines()[1].split(",")[2]


@pytest.mark.parametrize("typo", ["cels", "../x", "cell/", "a\x1bb", ""])
def test_a_key_that_no_family_has_is_not_made(work, typo):
    before = work.path("ring").read_bytes()
    result = work.pydp("keys", "new-version", typo, *KEY)
    assert result.code == 2
    assert work.path("ring").read_bytes() == before


def test_an_altered_keyring_is_refused_with_3(work):
    text = work.read("ring")
    work.path("ring").write_text(text.replace('"generation": 1', '"generation": 9'))
    result = work.pydp("keys", "list", *KEY)
    assert (result.code, "was altered" in result.err) == (3, True)


@pytest.mark.parametrize("command", CHANGES)
def test_nothing_changes_while_another_process_holds_the_lock(work, command):
    import fcntl

    before = work.path("ring").read_bytes()
    with work.path("ring").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        result = work.pydp("keys", command, *CHANGES[command], *KEY)
    assert result.code == (0 if command == "backup" else 6)
    assert work.path("ring").read_bytes() == before
    assert not work.path("shares").exists() or not list(work.path("shares").iterdir())


@pytest.mark.parametrize("command", CHANGES)
def test_quiet_says_nothing(work, command):
    result = work.pydp("keys", command, *CHANGES[command], *KEY, "-q")
    assert (result.code, result.out, result.err) == (0, "", "")


@pytest.mark.parametrize("command", CHANGES)
def test_json_is_one_object_with_the_generation(work, command):
    result = work.pydp("keys", command, *CHANGES[command], *KEY, "--json")
    assert result.err == ""
    assert json.loads(result.out)["generation"] == {"backup": 1, "new-version": 3}.get(command, 2)
    assert json.loads(result.out)["keyring"] == str(work.path("ring").resolve())


def test_no_keyring_or_a_missing_one_says_what_to_do(work):
    work.path("pydp.yml").unlink()
    nowhere = work.pydp("keys", "list", "--key-file", "key")
    assert (nowhere.code, "--keyring" in nowhere.err) == (2, True)
    missing = work.pydp("keys", "list", "--keyring", "absent", "--key-file", "key")
    assert (missing.code, "absent" in missing.err) == (2, True)


def test_an_unknown_kind_of_protector_is_told_with_those_there_are(work):
    result = work.pydp("keys", "add-protector", "retina", *KEY)
    assert result.code == 2
    assert "passphrase, recipient, shares, vault" in result.err


def test_a_copy_that_somebody_kept_opens_no_later_keyring_with_a_new_root(work):
    from pydp_cli.keys.keyring import open_keyring
    from pydp_cli.keys.ring_document import unseal
    from pydp_cli.keys.ring_file import read_document
    from pydp_cli.keys.unlock import Unlock

    work.write("alice.pub", work.pydp("keys", "identity", "new", "alice.identity", "--kind", "x25519").out)
    work.pydp("keys", "add-protector", "recipient", "recipient=alice.pub", *KEY)
    work.pydp("keys", "add-protector", "--new-key-file", "bob.key", "--label", "Bob", *KEY)
    kept = open_keyring(work.path("ring"), Unlock(key_file=work.path("bob.key"))).root
    work.pydp("keys", "add-protector", "--new-key-file", "carol.key", "--label", "Carol", *KEY)
    stuck = work.pydp("keys", "remove-protector", "Bob", "--new-root", *KEY)
    assert (stuck.code, '"Carol" (key-file) cannot follow' in stuck.err) == (2, True)
    work.pydp("keys", "remove-protector", "Carol", *KEY)
    assert work.pydp("keys", "remove-protector", "Bob", "--new-root", *KEY).code == 0
    assert listed(work)
    assert listed(work, "--keyring", "ring", "--identity", "alice.identity")
    with pytest.raises(Refused, match="MAC"):
        unseal(read_document(work.path("ring")), kept, work.path("ring"))


def test_a_passphrase_from_a_pipe_is_read_once_and_opens_ring_and_backup(work):
    work.write("pass", "correct horse battery\n").chmod(0o600)
    spoken = ("--keyring", "spoken", "--passphrase-file", "pass")
    work.pydp("keys", "init", *spoken)
    work.pydp("keys", "backup", "copy", *spoken)
    reader, writer = os.pipe()
    os.write(writer, b"correct horse battery\n")
    os.close(writer)
    assert work.pydp("keys", "verify-backup", "copy", "--keyring", "spoken", "--passphrase-fd", reader).code == 0


def test_whatever_unlocks_the_keyring_unlocks_it_for_a_run(work):
    expected = work.pydp("anonymize", "--key-file", "key").out
    work.write("alice.pub", work.pydp("keys", "identity", "new", "alice.identity", "--kind", "x25519").out)
    work.pydp("keys", "add-protector", "recipient", "recipient=alice.pub", *KEY)
    work.write("pass", "correct horse battery").chmod(0o600)
    work.pydp("keys", "add-protector", "--new-passphrase-file", "pass", *KEY)
    with work.path("pass").open("rb") as given:
        spoken = work.pydp("anonymize", "--passphrase-fd", os.dup(given.fileno()))
    assert spoken.out == work.pydp("anonymize", "--identity", "alice.identity").out == expected != ""
    work.pydp("keys", "identity", "new", "other.identity", "--kind", "x25519")
    several = ("--identity", "other.identity", "--identity", "alice.identity")
    treated = work.pydp(
        "encrypt", "people.csv", "--set", "email=random", "--keyring", "ring", *several, "-o", "enc.csv"
    )
    assert treated.code == 0, treated.err
    assert "anna@" not in work.read("enc.csv")
    clear = work.pydp("decrypt", "enc.csv", "--keyring", "ring", *several)
    assert clear.out == work.read("people.csv"), clear.err


def test_changes_at_the_same_time_are_all_made_or_refused_with_6(work):
    runs = [work.start("keys", "new-version", "cell", *KEY, "-q", stderr=subprocess.DEVNULL) for _ in range(4)]
    codes = [run.wait() for run in runs]
    assert set(codes) <= {0, 6}
    assert 0 in codes
    states = [row["state"] for row in listed(work) if row["key"] == "cell"]
    assert len(states) >= 1 + codes.count(0)  # one that was refused may have left a version that is pending
    assert states.count("primary") == 1


def test_a_full_disk_leaves_the_keyring_as_it_was(work):
    def no_room():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))

    before = work.path("ring").read_bytes()
    for command in (("new-version", "cell"), ("backup", "copy"), ("add-protector", "--new-key-file", "k2")):
        run = work.start("keys", *command, *KEY, preexec_fn=no_room, stderr=subprocess.PIPE, text=True)
        _, err = run.communicate()
        assert run.returncode == 2
        assert "cannot be written" in err
    assert work.path("ring").read_bytes() == before
    assert sorted(path.name for path in work.folder.iterdir()) == ["key", "people.csv", "pydp.yml", "ring"]


def test_changes_of_the_keyring_are_in_the_audit_log_where_one_is_kept(work):
    new = ("keys", "new-version", "cell", "--keyring", "ring", "--key-file", "key")
    assert work.pydp(*new).code == 0
    assert not work.path(".pydp").exists()
    assert work.pydp("anonymize", "-o", "out.csv", "--key-file", "key").code == 0
    assert work.pydp(*new).code == 0
    entries = [json.loads(line) for line in work.read(".pydp/audit/000000.jsonl").splitlines()]
    [changed] = [entry for entry in entries if entry["event"] == "keys.changed"]
    assert set(changed["details"]) >= {"keyring", "generation"}
