import hashlib
from base64 import b16decode

from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.audit.merkle import Tree, leaf_hash, root_by_proof, root_of

# The leaves and roots of the Certificate Transparency reference tests (google/certificate-transparency, Apache-2.0).
LEAVES = [
    b16decode(text, casefold=True)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def recursive_root(leaves):
    """RFC 6962 as it is written."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + recursive_root(leaves[:split]) + recursive_root(leaves[split:])).digest()


def test_roots_are_those_of_the_reference_tests():
    hashes = [leaf_hash(leaf) for leaf in LEAVES]
    assert [root_of(hashes[: size + 1]).hex() for size in range(8)] == ROOTS


@given(st.lists(st.binary(max_size=8), max_size=70))
def test_the_root_is_that_of_the_recursive_definition(leaves):
    assert root_of([leaf_hash(leaf) for leaf in leaves]) == recursive_root(leaves)


@given(st.integers(1, 70), st.data())
def test_a_proof_leads_to_the_root_and_to_no_other(size, data):
    leaves = [leaf_hash(str(number).encode()) for number in range(size)]
    sealed = data.draw(st.sets(st.integers(0, size // 8 - 1))) if size >= 8 else set()
    tree = Tree(
        8,
        lambda number: root_of(leaves[8 * number : 8 * number + 8]) if number in sealed else None,
        lambda number: leaves[8 * number : 8 * number + 8],
    )
    index = data.draw(st.integers(0, size - 1))
    proof = tree.proof(index, size)
    assert tree.root(size) == root_of(leaves)
    assert root_by_proof(leaves[index], index, size, proof) == root_of(leaves)
    other = data.draw(st.integers(0, size - 1))
    if other != index:
        assert root_by_proof(leaves[index], other, size, proof) != root_of(leaves)
    assert root_by_proof(leaves[index], index, size, [*proof, leaves[0]]) is None
