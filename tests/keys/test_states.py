"""The life of key versions, as a model: what is allowed happens, what is not changes nothing."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pydp_cli.errors import UsageError, WrongKey
from pydp_cli.keys.changes import with_new_version, with_state
from pydp_cli.keys.keyring import Keyring
from pydp_cli.keys.ring_document import Contents, seal, unseal
from pydp_cli.keys.secret import Secret

ALLOWED = {
    ("pending", "primary"),
    ("pending", "destroyed"),
    ("enabled", "primary"),
    ("enabled", "disabled"),
    ("disabled", "enabled"),
    ("disabled", "destroyed"),
}
ROOT = Secret(bytes(range(32)))


class Versions(RuleBasedStateMachine):
    """Does anything to a ring, legal or not, and keeps its own account of every key."""

    @initialize()
    def start(self):
        self.now = datetime(2026, 1, 1, tzinfo=timezone.utc)
        self.ring = Keyring(Path("ring"), "00" * 16, 1, ({"type": "key-file"},), {}, ROOT)
        self.states = {}
        self.secrets = {}
        self.add("cell")

    def clock(self):
        self.now += timedelta(seconds=1)
        return self.now

    @rule(name=st.sampled_from(["cell", "pseudonym", "pseudonym/customer"]))
    def add(self, name):
        self.ring = with_new_version(self.ring, name, clock=self.clock)
        added = self.ring.keys[name][-1]
        assert added.key_id not in self.states
        self.states[added.key_id] = (name, "pending")
        self.secrets[added.key_id] = added.secret

    @rule(data=st.data(), state=st.sampled_from(["pending", "primary", "enabled", "disabled", "destroyed"]))
    def move(self, data, state):
        key_id = data.draw(st.sampled_from(sorted(self.states)))
        name, before = self.states[key_id]
        try:
            self.ring = with_state(self.ring, key_id, state, clock=self.clock)
        except UsageError:
            assert (before, state) not in ALLOWED
            return
        assert (before, state) in ALLOWED
        if state == "primary":
            for other, (theirs, its_state) in self.states.items():
                if theirs == name and its_state == "primary":
                    self.states[other] = (name, "enabled")
        self.states[key_id] = (name, state)

    @rule()
    def write_and_read(self):
        contents = Contents(self.ring.ring_id, self.ring.generation, self.ring.slots, self.ring.keys)
        read = unseal(seal(contents, ROOT), ROOT, Path("ring"))
        assert read == contents
        self.ring = replace(self.ring, keys=read.keys)

    @invariant()
    def states_are_as_accounted(self):
        assert {v.key_id: (v.name, v.state) for v in self.ring.versions()} == self.states

    @invariant()
    def a_key_has_at_most_one_primary(self):
        for versions in self.ring.keys.values():
            assert sum(version.state == "primary" for version in versions) <= 1

    @invariant()
    def no_key_is_lost_but_by_destroying_it(self):
        for version in self.ring.versions():
            expected = None if version.state == "destroyed" else self.secrets[version.key_id]
            assert version.secret == expected

    @invariant()
    def only_primary_and_enabled_keys_are_given_out(self):
        for key_id, (_, state) in self.states.items():
            try:
                self.ring.by_id(key_id)
                given = True
            except WrongKey:
                given = False
            assert given == (state in {"primary", "enabled"})


Versions.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestVersions = Versions.TestCase
