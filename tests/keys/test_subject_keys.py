"""People's own keys: random, durable, found again; gone for good once destroyed, whatever copies come back."""

import shutil
import sqlite3
import threading

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from pydp_cli.errors import KeyringError, OutputError, Tampered, TemporaryFailure, WrongKey
from pydp_cli.keys import subject_keys as module
from pydp_cli.keys import subject_store
from pydp_cli.keys.subject_keys import begin_epoch, check_store, create_subject_keys, open_subject_keys, shred
from tests.keys.rings import clock, make_place

ANNA, BO, CY = (bytes([n]) * 20 for n in (1, 2, 3))


@pytest.fixture
def made(place):
    path = place.path.parent / "people.db"
    _, keys = create_subject_keys(path, place.open(), clock=clock)
    return place, path, keys


def test_a_person_keeps_their_key_and_everybody_has_another(made):
    place, path, keys = made
    first = keys.ensure([ANNA, BO, ANNA])
    again = open_subject_keys(path, place.open()).ensure([BO, CY, ANNA])
    assert {person: again[person] for person in first} == first
    assert len({one.key for one in again.values()}) == len({one.handle for one in again.values()}) == 3
    assert all(len(one.key) == 32 for one in again.values())
    assert keys.find([BO, b"nobody" * 3]) == {BO: first[BO]}
    opened = keys.open([first[BO].handle, b"unknown!"])
    assert (opened.keys, opened.gone) == ({first[BO].handle: first[BO].key}, {})
    assert "key=" not in repr(first[BO])
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_destroyed_key_is_gone_with_its_epoch_and_the_others_stay(made):
    place, path, keys = made
    before = keys.ensure([ANNA, BO])
    ring, done = shred(path, place.open(), [ANNA, CY], clock=clock)
    assert (done.keys, done.kept, done.epochs_destroyed) == (1, 1, 1)
    keys = open_subject_keys(path, place.open())
    assert keys.find([ANNA, BO]) == {BO: before[BO]}
    assert keys.open([before[ANNA].handle]).gone == {before[ANNA].handle: "2026-03-01"}
    states = [version.state for version in ring.versions() if version.name.startswith("epoch/")]
    assert states == ["destroyed", "primary"]
    assert not path.parent.joinpath("pydp.keyring~").exists()  # it had the old epoch's key
    _, again = shred(path, ring, [ANNA], clock=clock)
    assert (again.keys, again.epochs_destroyed) == (0, 0)
    assert keys.ensure([ANNA])[ANNA].handle != before[ANNA].handle


def test_no_copy_of_the_store_from_before_opens(made, tmp_path):
    place, path, keys = made
    keys.ensure([ANNA, BO])
    yesterday = shutil.copy(path, tmp_path / "yesterday.db")
    shred(path, place.open(), [ANNA], clock=clock)
    with pytest.raises(WrongKey, match="a copy from before 2026-03-01"):
        open_subject_keys(yesterday, place.open())
    shutil.copy(yesterday, path)
    with pytest.raises(WrongKey, match="nothing opens it any more"):
        shred(path, place.open(), [BO], clock=clock)


def test_an_epoch_can_begin_without_destroying_a_persons_key(made, tmp_path):
    place, path, keys = made
    before = keys.ensure([ANNA, BO])
    leaked = shutil.copy(path, tmp_path / "leaked.db")
    ring, done = begin_epoch(path, place.open(), clock=clock)
    assert (done.keys, done.kept, done.epochs_destroyed) == (0, 2, 1)
    assert open_subject_keys(path, ring).find([ANNA, BO]) == before
    with pytest.raises(WrongKey):
        open_subject_keys(leaked, ring)


def test_a_run_that_began_before_an_erasure_makes_no_keys_after_it(made):
    place, path, keys = made
    keys.ensure([ANNA])
    shred(path, place.open(), [ANNA], clock=clock)
    for call in (keys.ensure, keys.find, keys.open):
        with pytest.raises(TemporaryFailure, match="erased meanwhile"):
            call([BO])


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE people SET wrapped = (SELECT wrapped FROM people p WHERE p.person != people.person)",
        "UPDATE people SET handle = randomblob(8)",
        "UPDATE people SET person = randomblob(20)",
        "UPDATE people SET wrapped = zeroblob(48)",
    ],
)
def test_altered_rows_are_refused(made, change):
    place, path, keys = made
    keys.ensure([ANNA, BO])
    with sqlite3.connect(path) as connection:
        connection.execute(change)
    with pytest.raises(Tampered, match="were altered"):
        check_store(path, place.open())
    with pytest.raises(Tampered):
        begin_epoch(path, place.open(), clock=clock)
    versions = [version for version in place.open().versions() if version.name.startswith("epoch/")]
    assert versions[0].state in {"primary", "enabled"}  # nothing was destroyed


@pytest.mark.parametrize("epoch", ["cell", "random"])
def test_another_epoch_or_keyring_is_refused(made, epoch):
    place, path, _ = made
    key_id = place.open().primary("cell").key_id if epoch == "cell" else b"\xff\xfe\xfd\xfc"
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE store SET epoch = ?", (key_id,))
    with pytest.raises(WrongKey, match="belongs to another keyring"):
        open_subject_keys(path, place.open())


@pytest.mark.parametrize(
    "content",
    [b"", b"not a database" * 100, b"SQLite format 3\x00" + bytes(4000), None],
    ids=["empty", "text", "zeros", "a trigger"],
)
def test_what_is_no_store_is_refused(made, content):
    place, path, _ = made
    if content is None:
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TRIGGER t AFTER INSERT ON people BEGIN DELETE FROM people; END")
    else:
        path.write_bytes(content)
    with pytest.raises(KeyringError, match="store of people's keys"):
        open_subject_keys(path, place.open())


def test_a_store_is_never_made_over_another_file(made):
    place, path, _ = made
    with pytest.raises(OutputError, match="already"):
        create_subject_keys(path, place.open(), clock=clock)
    assert not list(path.parent.glob(".people.db.*"))


def test_a_handle_is_never_used_again(made, monkeypatch):
    place, path, keys = made
    gone = keys.ensure([ANNA])[ANNA].handle
    shred(path, place.open(), [ANNA], clock=clock)
    keys = open_subject_keys(path, place.open())
    live = keys.ensure([BO])[BO].handle
    drawn = iter([gone, live, b"fresh!!!", b"k" * 32])
    with subject_store.open_store(path) as connection, subject_store.writing(connection):
        ((_, handle, _),) = subject_store.add_people(connection, [CY], keys.wrapping, lambda _: next(drawn))
    assert handle == b"fresh!!!"


def test_two_runs_give_a_new_person_one_key(made):
    _, _, keys = made
    people = [bytes([n, m]) * 10 for n in range(20) for m in range(50)]
    found, start = [None, None], threading.Barrier(2)

    def run(number, order):
        start.wait()
        found[number] = {person: keys.ensure([person])[person] for person in order[:200]} | keys.ensure(order)

    threads = [threading.Thread(target=run, args=(0, people)), threading.Thread(target=run, args=(1, people[::-1]))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] == found[1]
    assert len(found[0]) == 1000


class Killed(BaseException):
    """Stands for the end of the process."""


STEPS = {
    "before the new epoch's key": ("_new_epoch", "before"),
    "after the new epoch's key": ("_new_epoch", "after"),
    "before the store is written": ("store.rewrap_all", "before"),
    "before the store is committed": ("store.rewrap_all", "after"),
    "before the old key is destroyed": ("_destroy_before", "before"),
    "after the old key is destroyed": ("_destroy_before", "after"),
}


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_nobody_elses_key_is_lost_and_the_next_run_finishes(made, monkeypatch, step):
    place, path, keys = made
    before = keys.ensure([ANNA, BO])
    name, when = STEPS[step]
    owner = module.store if name.startswith("store.") else module
    real = getattr(owner, name.removeprefix("store."))

    def killing(*arguments):
        if when == "after":
            real(*arguments)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(owner, name.removeprefix("store."), killing)
        with pytest.raises(Killed):
            shred(path, place.open(), [ANNA], clock=clock)
    assert open_subject_keys(path, place.open()).find([BO]) == {BO: before[BO]}
    copy = shutil.copy(path, path.with_name("copy.db"))
    ring, _ = shred(path, place.open(), [ANNA], clock=clock)
    assert open_subject_keys(path, ring).find([ANNA, BO]) == {BO: before[BO]}
    states = [version.state for version in ring.versions() if version.name.startswith("epoch/")]
    assert states == ["destroyed", "primary"]
    if "destroyed" not in step:
        with pytest.raises(WrongKey):
            open_subject_keys(copy, ring)


class Model(RuleBasedStateMachine):
    """A store beside a dictionary, under any order of new people, erasures and re-opening."""

    people = Bundle("people")
    folder = None

    def __init__(self):
        super().__init__()
        self.count = Model.count = getattr(Model, "count", 0) + 1
        folder = Model.folder / str(self.count)
        folder.mkdir()
        self.place, self.path = make_place(folder), folder / "people.db"
        self.ring, self.keys = create_subject_keys(self.path, self.place.open(), clock=clock)
        self.expected, self.gone = {}, set()

    @rule(target=people, number=st.integers(0, 8))
    def meet(self, number):
        person = bytes([number]) * 20
        found = self.keys.ensure([person])[person]
        assert self.expected.setdefault(person, found) == found
        return person

    @rule(person=consumes(people), other=people)
    def erase(self, person, other):
        going = {person, other}
        self.ring, done = shred(self.path, self.ring, list(going), clock=clock)
        lost = [self.expected.pop(one) for one in going if one in self.expected]
        assert done.keys == len(lost)
        self.gone.update(one.handle for one in lost)
        self.keys = open_subject_keys(self.path, self.ring)

    @rule()
    def reopen(self):
        self.ring = self.place.open()
        self.keys = open_subject_keys(self.path, self.ring)

    @invariant()
    def all_is_as_expected(self):
        everybody = [bytes([number]) * 20 for number in range(9)]
        assert self.keys.find(everybody) == self.expected
        opened = self.keys.open([*self.gone, *(one.handle for one in self.expected.values())])
        assert set(opened.gone) == self.gone
        assert opened.keys == {one.handle: one.key for one in self.expected.values()}


def test_a_store_is_what_a_dictionary_would_be(tmp_path):
    Model.folder = tmp_path
    case = Model.TestCase()
    case.settings = settings(
        max_examples=8, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
    )
    case.runTest()
