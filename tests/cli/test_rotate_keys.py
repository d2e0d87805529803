import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

KEYS = ("--keyring", "ring", "--key-file", "key")


@pytest.fixture
def encrypted(work):
    """A folder with a CSV and a Parquet file, two columns each encrypted."""
    (work.folder / "data").mkdir()
    work.write("data/people.csv", 'id;email;note\r\n007;a@example.com;\r\n8;b@example.com;"x;y"\r\n')
    table = pa.table({"id": [1, 2, None], "email": ["a@example.com", None, "c"], "pay": pa.array([1.5, 2.5, None])})
    pq.write_table(table, work.path("data/pay.parquet"))
    for name, column in (("people.csv", "email=random"), ("people.csv", "id=deterministic")):
        assert work.pydp("encrypt", f"data/{name}", "--set", column, "--in-place", *KEYS, "-q").code == 0
    done = work.pydp("encrypt", "data/pay.parquet", "--set", "email=random", "--set", "pay=random", "--in-place", *KEYS)
    assert done.code == 0
    return work


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def altered(cell):
    if isinstance(cell, bytes):
        return cell[:-5] + bytes([cell[-5] ^ 1]) + cell[-4:]
    return f"{cell[:-6]}{cell[-6:].swapcase()}"


def clear(work, name):
    out = f"clear-{name}"
    done = work.pydp("decrypt", f"data/{name}", "-o", out, "--force", *KEYS)
    assert done.code == 0, done.err
    return pq.read_table(work.path(out)) if name.endswith("parquet") else work.path(out).read_bytes()


def rotate(work, *more, code=0):
    done = work.pydp("rotate-keys", *more, *KEYS)
    assert done.code == code, done.err
    return done


def counts(work):
    from pydp_cli.keys.keyring import open_keyring
    from pydp_cli.keys.unlock import Unlock
    from pydp_cli.rotation.usage import usage

    ring = open_keyring(Path("ring"), Unlock(key_file=Path("key")))
    used = usage(ring, paths=["data"])
    return [(one.version.state, one.cells) for one in used.keys if one.version.name == "cell"]


def test_reencrypt_moves_every_cell_and_changes_nothing_else(encrypted):
    before = {name: clear(encrypted, name) for name in ("people.csv", "pay.parquet")}
    old = {name: encrypted.path(f"data/{name}").read_bytes() for name in before}
    assert counts(encrypted) == [("primary", 8)]
    done = rotate(encrypted, "data", "--mode", "reencrypt", "--json")
    (told,) = json.loads(done.out)["done"]
    assert (told["cells"], len(told["files"]), told["quarantined"]) == (8, 2, [])
    assert counts(encrypted) == [("enabled", 0), ("primary", 8)]
    assert {name: clear(encrypted, name) for name in before} == before
    assert all(encrypted.path(f"data/{name}").read_bytes() != raw for name, raw in old.items())
    assert names("data") == ["pay.parquet", "people.csv"]


def test_reencrypt_keeps_equal_cells_equal_and_lets_other_columns_pass(encrypted):
    rotate(encrypted, "data", "--mode", "reencrypt")
    header, *lines = encrypted.path("data/people.csv").read_bytes().split(b"\r\n")
    assert header == b"id;email;note"
    assert [line.split(b";", 2)[2] for line in lines[:2]] == [b"", b'"x;y"']
    schema = pq.read_schema(encrypted.path("data/pay.parquet"))
    noted = json.loads(schema.field("pay").metadata[b"pydp"])
    assert [counts(encrypted)[1][0], len(noted["keys"])] == ["primary", 1]


def test_dry_run_changes_nothing_and_says_what_cannot_be_undone(encrypted):
    before = {path.name: path.read_bytes() for path in encrypted.path("data").iterdir()}
    ring = encrypted.path("ring").read_bytes()
    done = rotate(encrypted, "data", "--mode", "reencrypt", "--dry-run")
    assert "8 cells in 2 files" in done.err
    assert ", about 0" in done.err
    assert "not to be undone" in done.err
    assert {path.name: path.read_bytes() for path in encrypted.path("data").iterdir()} == before
    assert encrypted.path("ring").read_bytes() == ring
    assert not encrypted.path(".pydp").exists()


def test_a_file_that_does_not_decrypt_is_left_and_the_rest_is_done(encrypted):
    path = encrypted.path("data/pay.parquet")
    table = pq.read_table(path)
    flipped = [None if one is None else altered(one) for one in table["pay"].to_pylist()]
    damaged = table.set_column(2, table.schema.field("pay"), pa.array(flipped, table["pay"].type))
    pq.write_table(damaged, path)
    raw = path.read_bytes()
    done = rotate(encrypted, "data", "--mode", "reencrypt", code=3)
    assert "pay.parquet" in done.err
    assert "failed authentication" in done.err
    assert path.read_bytes() == raw
    assert counts(encrypted)[1] == ("primary", 4)
    assert names("data") == ["pay.parquet", "people.csv"]


def test_an_interrupted_rotation_makes_no_second_version(encrypted):
    path = encrypted.path("data/pay.parquet")
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    rotate(encrypted, "data", "--mode", "reencrypt", code=3)
    path.write_bytes(whole)
    rotate(encrypted, "data", "--mode", "reencrypt")
    assert counts(encrypted) == [("enabled", 0), ("primary", 8)]
    rotate(encrypted, "data", "--mode", "reencrypt")
    assert counts(encrypted) == [("enabled", 0), ("enabled", 0), ("primary", 8)]


def test_a_plan_is_applied_to_what_it_was_made_for_and_nothing_else(encrypted):
    rotate(encrypted, "data/people.csv", "--mode", "reencrypt", "--plan", "plan.json")
    assert counts(encrypted) == [("primary", 8)]
    rotate(encrypted, "--apply", "plan.json")
    assert counts(encrypted) == [("enabled", 4), ("primary", 4)]
    done = rotate(encrypted, "--apply", "plan.json", code=3)
    assert "make a new plan" in done.err


def test_retire_destroys_only_what_nothing_is_under(encrypted):
    encrypted.write(
        "pydp.yml",
        "version: 1\nkeyring: ring\ndatasets:\n  all: {path: data/*, other_columns: keep}\n",
    )
    policy = ("-p", "pydp.yml")
    rotate(encrypted, "data/people.csv", "--mode", "reencrypt")
    assert "4 cells" in rotate(encrypted, "--mode", "retire", *policy).err
    assert counts(encrypted)[0] == ("enabled", 4)
    rotate(encrypted, "data", "--mode", "reencrypt", "--no-new-version")
    rotate(encrypted, "--mode", "retire", *policy)
    assert counts(encrypted) == [("destroyed", 0), ("primary", 8)]
    clear(encrypted, "pay.parquet")
    assert rotate(encrypted, "--mode", "retire", code=2).err.count("policy")


def test_rewrap_root_keeps_out_the_old_ring_and_touches_no_data(encrypted):
    before = {path.name: path.read_bytes() for path in encrypted.path("data").iterdir()}
    ring = encrypted.path("ring").read_bytes()
    rotate(encrypted, "--mode", "rewrap-root")
    assert encrypted.path("ring").read_bytes() != ring
    assert {path.name: path.read_bytes() for path in encrypted.path("data").iterdir()} == before
    clear(encrypted, "pay.parquet")


def test_rewrap_files_changes_headers_only(work):
    work.write("data/big.bin", os.urandom(100_000))
    work.write("data/notes.txt", "plain")
    assert work.pydp("encrypt", "--whole-file", "data/big.bin", *KEYS).code == 0
    raw = work.path("data/big.bin.pydp").read_bytes()
    (told,) = json.loads(rotate(work, "data", "--mode", "rewrap-files", "--json").out)["done"]
    assert told["files"] == ["data/big.bin.pydp"]
    changed = work.path("data/big.bin.pydp").read_bytes()
    assert (changed[8192:], changed[:8192] == raw[:8192]) == (raw[8192:], False)
    done = work.pydp("decrypt", "--whole-file", "data/big.bin.pydp", "-o", "back.bin", "--name", "big.bin", *KEYS)
    assert done.code == 0, done.err
    assert work.path("back.bin").read_bytes() == work.path("data/big.bin").read_bytes()


@pytest.mark.parametrize("jobs", [1, 3])
def test_rewrap_files_touches_each_file_once_whatever_names_it_has(work, jobs):
    for number in range(9):
        work.write(f"data/{number}", os.urandom(number))
        assert work.pydp("encrypt", "--whole-file", f"data/{number}", *KEYS).code == 0
    os.link("data/1.pydp", "data/also.pydp")
    Path("data/too.pydp").symlink_to("2.pydp")
    damaged = bytearray(work.path("data/3.pydp").read_bytes())
    damaged[100], damaged[4196] = damaged[100] ^ 1, damaged[4196] ^ 1
    work.write("data/3.pydp", bytes(damaged))
    done = rotate(work, "data", "data/3.pydp", "--mode", "rewrap-files", "--jobs", jobs, "--json", code=3)
    told = json.loads(done.out)["done"][0]
    assert len(told["files"]) == 8
    assert [one["file"] for one in told["quarantined"]] == ["data/3.pydp"]
    for number in (0, 1, 2, 8):
        sealed = work.path(f"data/{number}.pydp").read_bytes()
        assert sealed[:4096] == sealed[4096:8192]
        back = work.pydp("decrypt", "--whole-file", f"data/{number}.pydp", "-o", f"back{number}", *KEYS)
        assert (back.code, work.path(f"back{number}").stat().st_size) == (0, number), back.err


def test_retire_destroys_a_file_key_only_where_it_looked_for_whole_files(work):
    work.write("data/big.bin", os.urandom(100))
    work.write("pydp.yml", "version: 1\nkeyring: ring\ndatasets:\n  all: {path: rows/*, other_columns: keep}\n")
    work.write("rows/a.csv", "id\n1\n")
    assert work.pydp("encrypt", "--whole-file", "data/big.bin", *KEYS).code == 0
    sealed = work.path("data/big.bin.pydp").read_bytes()
    rotate(work, "data", "--mode", "rewrap-files")
    assert states(work, "file") == ["enabled", "primary"]
    policy = ("--mode", "retire", "-p", "pydp.yml")
    assert "where files are" in rotate(work, *policy).err
    work.write("archive/old.pydp", sealed)
    assert states(work, "file") == ["enabled", "primary"]
    assert "still under" in rotate(work, "archive", "data", *policy).err
    work.path("archive/old.pydp").unlink()
    work.path("data/big.bin").unlink()  # what is neither a table nor an envelope could hold anything
    rotate(work, "data", *policy, "--dry-run")
    assert states(work, "file") == ["enabled", "primary"]
    rotate(work, "data", *policy)
    assert states(work, "file") == ["destroyed", "primary"]
    done = work.pydp("decrypt", "--whole-file", "data/big.bin.pydp", "-o", "back", *KEYS)
    assert done.code == 0, done.err


def states(work, name):
    shown = work.pydp("keys", "list", "--json", *KEYS)
    return [one["state"] for one in json.loads(shown.out) if one["key"] == name]


def test_without_a_mode_it_does_what_is_due(encrypted):
    encrypted.write(
        "pydp.yml",
        "version: 1\nkeyring: ring\nrotation: {max_age: P90D, keys: {pseudonym: P1Y}}\n"
        "datasets:\n  input: {path: data/*, other_columns: keep}\n",
    )
    arguments = ("-p", "pydp.yml", "--key-file", "key")
    assert "nothing is due" in encrypted.pydp("rotate-keys", *arguments).err
    before = (encrypted.path("ring").read_bytes(), names("data"))
    silent = encrypted.pydp("rotate-keys", *arguments, "-q")
    assert (silent.code, silent.out, silent.err) == (0, "", "")
    assert (encrypted.path("ring").read_bytes(), names("data")) == before
    assert counts(encrypted) == [("primary", 8)]
    done = encrypted.pydp("rotate-keys", *arguments, "--as-of", "2099-01-01")
    assert (done.code, counts(encrypted)) == (0, [("enabled", 0), ("primary", 8)]), done.err
    assert 'key "pseudonym" is due' in done.err


def test_a_run_that_meets_another_says_so(encrypted):
    from pydp_cli.rewrite.lock import run_lock

    with run_lock(Path(".pydp"), "erase-user"):
        assert "erase-user" in rotate(encrypted, "data", "--mode", "reencrypt", code=6).err


def test_small_files_are_moved_several_at_a_time_and_one_that_fails_stops_no_other(encrypted):
    sealed = encrypted.read("data/people.csv")
    lines = sealed.splitlines(keepends=True)
    for number in range(70):
        encrypted.write(f"data/part{number:02d}.csv", "".join([*lines, *lines[1:] * (number % 3)]))
    encrypted.write("data/part05.csv", "".join([lines[0], altered(lines[1].split(";")[1]).join(["1;", ";\r\n"])]))
    encrypted.path("data/part06.csv").chmod(0o640)
    os.link("data/part07.csv", "data/part08b.csv")  # what has two names is not replaced
    before = {number: clear(encrypted, f"part{number:02d}.csv") for number in (0, 1, 2, 69)}
    told = json.loads(rotate(encrypted, "data", "--mode", "reencrypt", "--jobs", 4, "--json", code=3).out)["done"][0]
    left = {one["file"] for one in told["quarantined"]}
    assert {"data/part05.csv", "data/part07.csv"} <= left
    assert encrypted.path("data/part06.csv").stat().st_mode & 0o777 == 0o640
    assert {number: clear(encrypted, f"part{number:02d}.csv") for number in before} == before
    assert [name for name in names("data") if name.startswith(".")] == []


def test_of_two_runs_at_once_the_one_that_waits_moves_all_again_and_loses_nothing(encrypted):
    before = {name: clear(encrypted, name) for name in ("people.csv", "pay.parquet")}
    line = ("rotate-keys", "data", "--mode", "reencrypt", "--wait", "300", "--jobs", "1", *KEYS, "-q")
    both = [encrypted.start(*line), encrypted.start(*line)]
    assert [one.wait() for one in both] == [0, 0]
    assert counts(encrypted) == [("enabled", 0), ("enabled", 0), ("primary", 8)]
    assert {name: clear(encrypted, name) for name in before} == before


def test_a_run_that_waits_begins_when_the_other_ends(encrypted):
    from pydp_cli.rewrite.lock import run_lock

    with run_lock(Path(".pydp"), "erase-user"):
        waiting = encrypted.start("rotate-keys", "data", "--mode", "reencrypt", "--wait", "300", *KEYS, "-q")
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(1.5)
        assert counts(encrypted) == [("primary", 8)]
    assert waiting.wait() == 0
    assert counts(encrypted) == [("enabled", 0), ("primary", 8)]


def test_an_unknown_mode_and_an_unknown_key_are_usage_errors(encrypted):
    assert "reencrypt" in rotate(encrypted, "data", "--mode", "rot13", code=2).err
    assert "pseudonym" in rotate(encrypted, "data", "--mode", "reencrypt", "--key", "pseudonym", code=2).err
    assert "say what to do" in rotate(encrypted, "data", code=2).err


FPE = """version: 1
keyring: ring
datasets:
  people:
    path: cards.{0}
    other_columns: keep
    columns:
      card: {{encrypt: fpe}}
      email: {{encrypt: true}}
"""


ACCESS = ("-p", "pydp.yml", "--key-file", "key")
CARDS = {"card": ["4111111111111111", "5500000000000004", None], "email": ["a@example.com", "b@example.com", None]}


def cards(work, form, policy=FPE, *, command="encrypt"):
    """Write cards as a file of a form, and encrypt them in place."""
    if form == "csv":
        rows = zip(*([value or "" for value in column] for column in CARDS.values()), strict=True)
        work.write("cards.csv", "card,email\n" + "".join(f"{card},{email}\n" for card, email in rows))
    else:
        pq.write_table(pa.table(CARDS), work.path("cards.parquet"))
    work.write("pydp.yml", policy.format(form))
    done = work.pydp(command, "--in-place", f"cards.{form}", *ACCESS)
    assert done.code == 0, done.err


def read_cards(work, form, *more):
    done = work.pydp("decrypt", f"cards.{form}", "-o", f"clear.{form}", "--force", *more, *ACCESS)
    assert done.code == 0, done.err
    if form == "parquet":
        return pq.read_table("clear.parquet").to_pydict()
    lines = [line.split(",") for line in work.read("clear.csv").splitlines()]
    return {name: [row[at] or None for row in lines[1:]] for at, name in enumerate(lines[0])}


def versions(work, name="cell"):
    """Give the ids of a key's versions, the primary last."""
    shown = work.pydp("keys", "list", "--json", *KEYS)
    return [one["id"] for one in json.loads(shown.out) if one["key"] == name]


def test_format_preserving_values_move_where_the_file_tells_their_key(work):
    cards(work, "parquet")
    raw = pq.read_table("cards.parquet")
    done = work.pydp("rotate-keys", "--mode", "reencrypt", *ACCESS)
    assert done.code == 0, done.err
    moved = pq.read_table("cards.parquet")
    assert moved["card"].to_pylist() != raw["card"].to_pylist()
    assert [len(card) for card in moved["card"].to_pylist()[:2]] == [16, 16]
    noted = json.loads(moved.schema.field("card").metadata[b"pydp"])
    assert [key["id"] for key in noted["keys"]] == versions(work)[-1:]
    assert read_cards(work, "parquet") == CARDS


def test_format_preserving_values_of_csv_move_only_when_it_is_said_from_where(work):
    cards(work, "csv")
    raw = work.read("cards.csv")
    done = work.pydp("rotate-keys", "--mode", "reencrypt", *ACCESS)
    assert (done.code, "--from-version" in done.err) == (3, True)
    assert (work.read("cards.csv"), len(versions(work))) == (raw, 1)
    [old] = versions(work)
    assert work.pydp("rotate-keys", "--mode", "reencrypt", "--from-version", old, *ACCESS).code == 0
    assert work.read("cards.csv") != raw
    new = versions(work)[-1]
    assert read_cards(work, "csv", "--key-version", new) == CARDS
    moved = work.read("cards.csv")
    again = work.pydp("rotate-keys", "--mode", "reencrypt", "--from-version", old, *ACCESS)
    assert (again.code, "brought from this key version to another before" in again.err) == (3, True)
    assert work.read("cards.csv") == moved
    assert work.pydp("rotate-keys", "--mode", "reencrypt", "--from-version", "xyz", *ACCESS).code == 2
    done = work.pydp("rotate-keys", "--mode", "reencrypt", "--from-version", new, *ACCESS)
    assert done.code == 0, done.err
    assert read_cards(work, "csv", "--key-version", versions(work)[-1]) == CARDS


INDEXED = FPE.replace("card: {{encrypt: fpe}}", "card: {{encrypt: {{mode: random, blind_index: {{bits: 32}}}}}}")


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_blind_indexes_are_computed_anew(work, form, monkeypatch):
    def probe():
        monkeypatch.setattr(sys, "stdin", io.StringIO(CARDS["card"][0]))
        done = work.pydp("lookup", "--dataset", "people", "--column", "card", "--value", "-", *ACCESS)
        assert done.code == 0, done.err
        return done.out.split()

    cards(work, form, INDEXED)
    (before,) = probe()
    done = work.pydp("rotate-keys", "--mode", "reencrypt", *ACCESS)
    assert done.code == 0, done.err
    stored = work.read("cards.csv") if form == "csv" else str(pq.read_table("cards.parquet")["card_bidx"].to_pylist())
    new, old = probe()
    assert (old, new in stored, old in stored) == (before, True, False)
    assert read_cards(work, form) == CARDS


TOKENS = """version: 1
keyring: ring
datasets:
  people:
    path: cards.{0}
    other_columns: keep
    columns:
      card: {{token: {{domain: card, check_digit: luhn}}}}
"""


def tokens(work, form, policy=TOKENS):
    cards(work, form, policy, command="anonymize")


def test_tokens_move_under_a_new_version_of_their_key(work):
    tokens(work, "parquet")
    raw = pq.read_table("cards.parquet")["card"].to_pylist()
    done = work.pydp("rotate-keys", "--mode", "reencrypt", "--key", "token", *ACCESS)
    assert done.code == 0, done.err
    assert pq.read_table("cards.parquet")["card"].to_pylist() != raw
    assert read_cards(work, "parquet") == CARDS
    tokens(work, "csv")
    old, new = versions(work, "token")
    assert work.pydp("rotate-keys", "--mode", "reencrypt", "--key", "token", *ACCESS).code == 3
    done = work.pydp("rotate-keys", "--mode", "reencrypt", "--key", "token", "--from-version", new, *ACCESS)
    assert done.code == 0, done.err
    assert read_cards(work, "csv", "--key-version", versions(work, "token")[-1]) == CARDS
    assert old != new


def test_tokens_that_do_not_come_back_are_left_as_they_are(work):
    policy = TOKENS.replace("check_digit: luhn", "on_small: pseudonym")
    pq.write_table(pa.table({"card": ["12345678", "12"]}), work.path("cards.parquet"))
    work.write("pydp.yml", policy.format("parquet"))
    assert work.pydp("anonymize", "--in-place", "cards.parquet", *ACCESS).code == 0
    raw = work.path("cards.parquet").read_bytes()
    done = work.pydp("rotate-keys", "--mode", "reencrypt", "--key", "token", *ACCESS)
    assert (done.code, "1 values do not come back" in done.err) == (3, True)
    assert work.path("cards.parquet").read_bytes() == raw


def test_what_cannot_come_back_is_no_key_to_move_from(work):
    cards(work, "parquet")
    done = work.pydp("rotate-keys", "--mode", "reencrypt", "--key", "pseudonym", *ACCESS)
    assert (done.code, "does not come back" in done.err) == (2, True)


def test_a_file_of_a_join_group_that_changes_at_the_swap_is_done_again_until_all_join(work, monkeypatch):
    from pydp_cli.rewrite import transaction as transactions

    work.write("pydp.yml", JOINED)
    work.path("data").mkdir()
    for name in ("a", "b"):
        work.write(f"data/{name}.csv", "id,n\n7,1\n8,2\n")
    assert work.pydp("encrypt", "--in-place", "data/a.csv", "data/b.csv", *ACCESS).code == 0
    late = work.read("data/b.csv") + work.read("data/b.csv").splitlines()[1] + "\n"
    real = transactions.Transaction.commit
    changed = []

    def commit(self):
        if not changed:
            changed.append(True)
            work.write("data/new", late)
            work.path("data/new").replace(work.path("data/b.csv"))
        return real(self)

    monkeypatch.setattr(transactions.Transaction, "commit", commit)
    done = work.pydp("rotate-keys", "--mode", "reencrypt", *ACCESS)
    assert done.code == 0, done.err
    a, b = ([line.split(",")[0] for line in work.read(f"data/{name}.csv").splitlines()[1:]] for name in ("a", "b"))
    assert (a, b[:2], b[2]) == (b[:2], a, a[0])
    assert counts(work)[-1][1] == 5


def joined(work, name):
    return [line.split(",")[0] for line in work.read(f"data/{name}.csv").splitlines()[1:]]


@pytest.mark.parametrize("with_policy", [True, False])
def test_a_join_group_stays_as_it_is_while_one_of_its_files_cannot_be_read(work, with_policy):
    if with_policy:
        work.write("pydp.yml", JOINED)
    work.path("data").mkdir()
    for name in ("a", "b", "c"):
        work.write(f"data/{name}.csv", "id,n\n7,1\n8,2\n")
    files = ("data/a.csv", "data/b.csv", "data/c.csv")
    access = ACCESS if with_policy else KEYS
    for file in files:
        asked = () if with_policy else ("--set", "id=deterministic")
        assert work.pydp("encrypt", "--in-place", file, *asked, *access).code == 0
    sound = work.read("data/b.csv")
    work.write("data/b.csv", sound + '"')
    left = json.loads(work.pydp("rotate-keys", "data", "--mode", "reencrypt", "--json", *access).out)["done"][0]
    assert [one["file"] for one in left["quarantined"]] == ["data/b.csv", "data/a.csv", "data/c.csv"]
    assert left["quarantined"][1]["reason"] == "may join with data/b.csv, which cannot be read"
    work.write("data/b.csv", sound)
    assert joined(work, "a") == joined(work, "b") == joined(work, "c")
    assert work.pydp("rotate-keys", "data", "--mode", "reencrypt", *access).code == 0
    assert counts(work)[-1][1] == 6
    assert joined(work, "a") == joined(work, "b") == joined(work, "c")


def test_what_joins_with_nothing_moves_although_another_file_cannot_be_read(encrypted):
    encrypted.write("data/broken.csv", 'id\n"')
    before = counts(encrypted)
    left = json.loads(rotate(encrypted, "data", "--mode", "reencrypt", "--json", code=3).out)["done"][0]
    assert {one["file"] for one in left["quarantined"]} == {"data/broken.csv", "data/people.csv"}
    assert left["files"] == ["data/pay.parquet"]
    assert sum(cells for _, cells in counts(encrypted)) == sum(cells for _, cells in before)


JOINED = """version: 1
keyring: ring
datasets:
  all:
    path: data/*.csv
    other_columns: keep
    columns: {id: {encrypt: {mode: deterministic, domain: person}}}
"""


def test_what_was_rotated_is_in_the_audit_log(encrypted):
    rotate(encrypted, "data", "--mode", "reencrypt")
    [entry] = [
        json.loads(line)["details"]
        for line in encrypted.read(".pydp/audit/000000.jsonl").splitlines()
        if '"rotate-keys.done"' in line
    ]
    assert (entry["mode"], entry["cells"], entry["files_count"], entry["quarantined_count"]) == ("reencrypt", 8, 2, 0)
    rotate(encrypted, "data", "--mode", "reencrypt", "--dry-run")
    assert encrypted.read(".pydp/audit/000000.jsonl").count("rotate-keys.done") == 1


def test_no_key_is_destroyed_while_anything_is_held(encrypted):
    policy = "version: 1\nkeyring: ring\ndatasets:\n  all: {path: data/*, other_columns: keep}\n"
    encrypted.write("pydp.yml", policy)
    rotate(encrypted, "data", "--mode", "reencrypt")
    assert encrypted.pydp("hold", "add", "--dataset", "all", "--matter", "Tax").code == 0
    done = rotate(encrypted, "--mode", "retire", "-p", "pydp.yml", code=5)
    assert "H0001" in done.err
    [old, _] = versions(encrypted)
    assert encrypted.pydp("keys", "destroy", old, "-p", "pydp.yml", "--key-file", "key").code == 5
    loss = ("--accept-loss", old, "-p", "pydp.yml", "--key-file", "key")
    assert encrypted.pydp("keys", "destroy", old, *loss).code == 5
    assert counts(encrypted)[0] == ("enabled", 0)
    assert encrypted.pydp("hold", "lift", "H0001", "--because", "over").code == 0
    rotate(encrypted, "--mode", "retire", "-p", "pydp.yml")
    assert counts(encrypted)[0] == ("destroyed", 0)


def test_where_there_is_no_room_nothing_begins(encrypted, monkeypatch):
    from pydp_cli.rotation import reencrypt

    before = {path.name: path.read_bytes() for path in encrypted.path("data").iterdir()}
    real = reencrypt.shutil.disk_usage
    monkeypatch.setattr(reencrypt.shutil, "disk_usage", lambda path: real(path)._replace(free=100))
    done = rotate(encrypted, "data", "--mode", "reencrypt", code=2)
    assert "needs" in done.err
    assert "100 are free" in done.err
    assert {path.name: path.read_bytes() for path in encrypted.path("data").iterdir()} == before
