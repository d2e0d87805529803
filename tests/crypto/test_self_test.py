"""The kernels prove themselves in each process, fall back to the library, and stop where they disagree with it."""

import logging

import numpy as np
import pyarrow as pa
import pytest

from pydp_cli.crypto import blocks, cmac, ff1, known_answers, self_test, siv

KEY = bytes(range(64))
COLUMN = pa.array([f"person{number}@example.org"[number % 9 :] for number in range(20_000)])
DIGITS = pa.array([f"{number:07d}" for number in range(200_000)])
WORK = {
    "cmac": lambda: cmac.prf(KEY[:32], COLUMN).tobytes(),
    "siv": lambda: siv.encrypt(KEY, COLUMN, [b"people"]).to_pylist(),
    "ff1": lambda: ff1.encrypt(KEY[:32], DIGITS).to_pylist(),
}
KERNELS = {"cmac": (cmac.Cmac, "_of_group"), "siv": (siv, "_seal_group"), "ff1": (ff1, "permute")}


@pytest.fixture
def untested(monkeypatch):
    """A process in which no kernel has been used."""
    monkeypatch.setattr(self_test, "_verdicts", {})


@pytest.mark.parametrize("kernel", WORK)
def test_every_kernel_gives_the_known_answers_and_is_used(kernel, untested, caplog):
    assert self_test.passed(kernel)
    assert caplog.records == []


@pytest.mark.parametrize("kernel", WORK)
def test_the_known_answers_go_through_the_kernel(kernel, untested, monkeypatch):
    """Where the block function breaks, the self-test sees it: no part of it is done by the library alone."""
    encrypt = blocks.BlockCipher.encrypt

    def broken(self, words):
        out = encrypt(self, words)
        if len(out) > 1:
            out[-1, 0] ^= np.uint64(1)
        return out

    monkeypatch.setattr(blocks.BlockCipher, "encrypt", broken)
    assert not self_test.passed(kernel)


@pytest.mark.parametrize("kernel", WORK)
def test_a_kernel_that_fails_its_self_test_is_not_used_and_a_warning_says_so(kernel, untested, monkeypatch, caplog):
    expected = WORK[kernel]()
    monkeypatch.setattr(self_test, "_verdicts", {})
    monkeypatch.setattr(known_answers, "holds", lambda name: name != kernel)
    with caplog.at_level(logging.WARNING):
        monkeypatch.setattr(*KERNELS[kernel], None)
        assert WORK[kernel]() == expected
        WORK[kernel]()
    assert [record.getMessage() for record in caplog.records] == [
        f"the {kernel} kernel failed its self-test: cells are treated one by one, which is slow"
    ]


def broken_where_it_is_sampled(monkeypatch, module, name):
    original = getattr(module, name)

    def broken(*arguments, **options):
        given = original(*arguments, **options)
        first = given[0] if isinstance(given, tuple) else given
        first ^= np.uint64(1)
        return given

    monkeypatch.setattr(module, name, broken)


@pytest.mark.parametrize(
    ("kernel", "module", "name"),
    [("cmac", cmac, "chain"), ("siv", siv, "_seal_group"), ("ff1", ff1, "permute")],
)
def test_a_kernel_that_breaks_later_stops_the_run(kernel, module, name, monkeypatch):
    WORK[kernel]()
    broken_where_it_is_sampled(monkeypatch, module, name)
    with pytest.raises(self_test.KernelError, match="disagrees"):
        WORK[kernel]()


def test_opening_is_sampled_too(monkeypatch):
    sealed = siv.encrypt(KEY, COLUMN)
    original = siv._open_group

    def broken(*arguments):
        opened, good = original(*arguments)
        for block in opened:
            np.bitwise_xor(block, np.uint64(1), out=block)
        return opened, good

    monkeypatch.setattr(siv, "_open_group", broken)
    with pytest.raises(self_test.KernelError):
        siv.decrypt(KEY, sealed)


def test_small_batches_are_sampled_in_proportion():
    chosen = [self_test.sample(np.random.default_rng(seed).bytes(8), 256) for seed in range(20_000)]
    hits = [row for row in chosen if row is not None]
    assert 200 < len(hits) < 450  # 256 in 16,384, of 20,000
    assert len(set(hits)) > 150
