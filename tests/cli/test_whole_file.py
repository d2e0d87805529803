"""`pydp encrypt --whole-file` and back, as a user runs them."""

import os
import subprocess
import sys

import pytest

from pydp_cli.keys.identities import create_identity_file

UNLOCK = ("--keyring", "ring", "--key-file", "key")
NOTES = os.urandom(100_000)


@pytest.fixture
def notes(work):
    work.write("notes.pdf", NOTES)
    return work


def test_a_file_becomes_an_envelope_beside_it_and_comes_back(notes):
    result = notes.pydp("encrypt", "--whole-file", "notes.pdf", *UNLOCK)

    assert (result.code, result.out) == (0, "")
    assert notes.path("notes.pdf.pydp").stat().st_mode & 0o777 == 0o600
    notes.path("notes.pdf").unlink()
    assert notes.pydp("decrypt", "--whole-file", "notes.pdf.pydp", *UNLOCK, "-q").err == ""
    assert notes.path("notes.pdf").read_bytes() == NOTES


def test_an_output_that_exists_is_left_alone(notes):
    notes.write("notes.pdf.pydp", "mine")

    assert notes.pydp("encrypt", "--whole-file", "notes.pdf", *UNLOCK).code == 2
    assert notes.read("notes.pdf.pydp") == "mine"


def test_the_policy_names_the_keyring(notes):
    assert notes.pydp("encrypt", "--whole-file", "notes.pdf", "--key-file", "key").code == 0


def test_from_stdin_to_stdout_and_back(notes):
    def run(*arguments, data):
        command = [sys.executable, "-m", "pydp_cli.cli.app", *arguments, "--whole-file", "-", *UNLOCK]
        return subprocess.run(command, input=data, capture_output=True, cwd=notes.folder, check=False)

    raw = run("encrypt", data=NOTES).stdout

    assert run("decrypt", data=raw).stdout == NOTES
    cut = run("decrypt", data=raw[:-1])
    assert cut.returncode == 3
    assert NOTES.startswith(cut.stdout)
    assert len(cut.stdout) < len(NOTES)


def test_several_files_go_to_a_folder_and_keep_their_names(notes):
    notes.write("more.txt", "")

    assert notes.pydp("encrypt", "--whole-file", "notes.pdf", "more.txt", "-o", "sealed/", *UNLOCK).code == 0
    assert notes.pydp("decrypt", "--whole-file", "sealed/*.pydp", "-o", "clear/", *UNLOCK).code == 0

    assert notes.path("clear/notes.pdf").read_bytes() == NOTES
    assert notes.path("clear/more.txt").read_bytes() == b""


@pytest.mark.parametrize("damage", ["flip", "cut", "more", "header"])
def test_a_damaged_file_is_exit_3_and_nothing_is_published(notes, damage):
    notes.pydp("encrypt", "--whole-file", "notes.pdf", *UNLOCK)
    raw = bytearray(notes.path("notes.pdf.pydp").read_bytes())
    if damage == "flip":
        raw[50_000] ^= 1
    elif damage == "cut":
        del raw[-20_000:]
    elif damage == "more":
        raw += b"\0"
    else:
        raw[:8192] = bytes(8192)
    notes.path("notes.pdf.pydp").write_bytes(raw)

    result = notes.pydp("decrypt", "--whole-file", "notes.pdf.pydp", "-o", "clear", *UNLOCK)

    assert result.code == 3
    assert "notes.pdf.pydp: " in result.err
    assert not notes.path("clear").exists()
    assert notes.left_over() == []


def test_a_failure_of_one_file_publishes_none(notes):
    notes.write("more.txt", "more")
    notes.pydp("encrypt", "--whole-file", "notes.pdf", "more.txt", "-o", "sealed/", *UNLOCK)
    notes.path("sealed/notes.pdf.pydp").write_bytes(notes.path("sealed/notes.pdf.pydp").read_bytes()[:-1])

    result = notes.pydp("decrypt", "--whole-file", *sorted(notes.folder.glob("sealed/*")), "-o", "clear/", *UNLOCK)

    assert result.code == 3
    assert not notes.path("clear").exists()


def test_swapped_files_are_refused_and_the_hint_tells_how_to_go_on(notes):
    notes.pydp("encrypt", "--whole-file", "notes.pdf", *UNLOCK)
    notes.path("notes.pdf.pydp").rename(notes.path("other.pdf.pydp"))

    result = notes.pydp("decrypt", "--whole-file", "other.pdf.pydp", *UNLOCK)

    assert result.code == 3
    assert "'notes.pdf'" in result.err
    assert "--name" in result.err
    assert notes.pydp("decrypt", "--whole-file", "other.pdf.pydp", "--name", "notes.pdf", *UNLOCK).code == 0


def test_a_file_of_no_name_may_be_renamed(notes):
    notes.pydp("encrypt", "--whole-file", "notes.pdf", "--name", "", *UNLOCK)
    notes.path("notes.pdf.pydp").rename(notes.path("other.pydp"))

    assert notes.pydp("decrypt", "--whole-file", "other.pydp", *UNLOCK).code == 0


def test_a_name_given_with_o_is_what_the_file_is_bound_to(notes):
    notes.pydp("encrypt", "--whole-file", "notes.pdf", "-o", "safe.bin", *UNLOCK)

    assert notes.pydp("decrypt", "--whole-file", "safe.bin", "-o", "clear", *UNLOCK).code == 0


@pytest.mark.parametrize(("said", "code"), [(("--context", "case 7"), 0), (("--context", "case 8"), 3), ((), 3)])
def test_the_context_must_be_said_again(notes, said, code):
    notes.pydp("encrypt", "--whole-file", "notes.pdf", "--context", "case 7", *UNLOCK)

    assert notes.pydp("decrypt", "--whole-file", "notes.pdf.pydp", "-o", "clear", *said, *UNLOCK).code == code


@pytest.mark.parametrize("kind", ["x25519", "mlkem768x25519"])
def test_a_recipient_needs_no_keyring(notes, kind):
    recipient = create_identity_file(notes.path("id"), kind)
    notes.path("pydp.yml").unlink()

    assert notes.pydp("encrypt", "--whole-file", "notes.pdf", "--recipient", str(recipient)).code == 0
    result = notes.pydp("decrypt", "--whole-file", "notes.pdf.pydp", "--identity", "id", "-o", "clear")

    assert result.code == 0
    assert notes.path("clear").read_bytes() == NOTES


def test_another_identity_is_exit_3(notes):
    create_identity_file(notes.path("other"), "x25519")
    recipient = create_identity_file(notes.path("id"), "x25519")
    notes.pydp("encrypt", "--whole-file", "notes.pdf", "--recipient", str(recipient))

    result = notes.pydp("decrypt", "--whole-file", "notes.pdf.pydp", "--identity", "other", "-o", "clear")

    assert result.code == 3
    assert "not encrypted to this identity" in result.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("encrypt", "--whole-file"),
        ("encrypt", "--whole-file", "."),
        ("encrypt", "--whole-file", "missing"),
        ("encrypt", "--whole-file", "s3://bucket/file"),
        ("encrypt", "--whole-file", "notes.pdf", "--set", "a=random"),
        ("encrypt", "--whole-file", "notes.pdf", "--in-place"),
        ("encrypt", "--whole-file", "notes.pdf", "-o", "notes.pdf", "--force"),
        ("encrypt", "--whole-file", "notes.pdf", "people.csv", "--name", "a"),
        ("encrypt", "--whole-file", "notes.pdf", "people.csv", "-o", "one"),
        ("encrypt", "notes.pdf", "--context", "a"),
        ("decrypt", "--whole-file", "notes.pdf"),
        ("decrypt", "people.csv", "--identity", "key"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(notes, arguments):
    before = sorted(path.name for path in notes.folder.iterdir())

    result = notes.pydp(*arguments, *UNLOCK)

    assert result.code == 2
    assert "error:" in result.err
    assert sorted(path.name for path in notes.folder.iterdir()) == before
    assert notes.path("notes.pdf").read_bytes() == NOTES


def test_a_file_that_is_none_of_ours_is_refused(notes):
    assert notes.pydp("decrypt", "--whole-file", "notes.pdf", "-o", "clear", *UNLOCK).code == 3


def test_a_damaged_header_copy_is_told(notes):
    notes.pydp("encrypt", "--whole-file", "notes.pdf", *UNLOCK)
    raw = bytearray(notes.path("notes.pdf.pydp").read_bytes())
    raw[30] ^= 1
    notes.path("notes.pdf.pydp").write_bytes(raw)

    result = notes.pydp("decrypt", "--whole-file", "notes.pdf.pydp", "-o", "clear", *UNLOCK)

    assert result.code == 0
    assert "one of the two copies" in result.err


def test_age_files_are_written_and_read(notes):
    pyrage = pytest.importorskip("pyrage")
    identity = pyrage.x25519.Identity.generate()
    notes.write("id", f"# made by another tool\n{identity}\n").chmod(0o600)
    notes.write("team", f"# the team\n{identity.to_public()}\n")

    made = notes.pydp("encrypt", "--whole-file", "notes.pdf", "--format", "age", "--recipient", "team")
    read = notes.pydp("decrypt", "--whole-file", "notes.pdf.age", "--format", "age", "--identity", "id", "-o", "clear")

    assert (made.code, read.code) == (0, 0)
    assert notes.path("clear").read_bytes() == NOTES
    assert pyrage.decrypt(notes.path("notes.pdf.age").read_bytes(), [identity]) == NOTES


def test_age_files_have_a_passphrase_where_there_are_no_recipients(notes):
    notes.write("pw", "open sesame\n").chmod(0o600)
    notes.write("wrong", "open\n").chmod(0o600)
    age = ("--whole-file", "--format", "age", "--passphrase-file")

    assert notes.pydp("encrypt", "notes.pdf", *age, "pw").code == 0
    assert notes.pydp("decrypt", "notes.pdf.age", *age, "wrong", "-o", "clear").code == 3
    assert notes.pydp("decrypt", "notes.pdf.age", *age, "pw", "-o", "clear").code == 0
    assert notes.path("clear").read_bytes() == NOTES


def test_a_damaged_age_file_is_exit_3_and_nothing_is_published(notes):
    pyrage = pytest.importorskip("pyrage")
    identity = pyrage.x25519.Identity.generate()
    notes.write("id", f"{identity}\n").chmod(0o600)
    raw = pyrage.encrypt(NOTES, [identity.to_public()])
    notes.write("a.age", raw[:-1])

    result = notes.pydp("decrypt", "--whole-file", "a.age", "--format", "age", "--identity", "id")

    assert result.code == 3
    assert not notes.path("a").exists()


def test_fernet_files_are_read_and_not_written(notes):
    from cryptography.fernet import Fernet

    key = Fernet.generate_key()
    notes.write("fernet.key", key + b"\n").chmod(0o600)
    notes.write("old.fernet", Fernet(key).encrypt(NOTES))
    fernet = ("--whole-file", "--format", "fernet")

    assert notes.pydp("decrypt", "old.fernet", *fernet, "--identity", "fernet.key").code == 0
    assert notes.path("old").read_bytes() == NOTES
    assert notes.pydp("decrypt", "old.fernet", *fernet, "-o", "clear").code == 2
    assert notes.pydp("encrypt", "notes.pdf", *fernet).code == 2


@pytest.mark.parametrize("bound", [("--name", "a"), ("--context", "a")])
def test_what_age_cannot_bind_is_not_pretended(notes, bound):
    assert notes.pydp("encrypt", "--whole-file", "notes.pdf", "--format", "age", *bound).code == 2
