import pytest

from pydp_cli.errors import Refused, UsageError
from pydp_cli.keys.changes import new_version
from pydp_cli.rotation.usage import destroy_unused, prove_unused, usage
from tests.rotation.conftest import ROWS

NAMED = ROWS - len(range(0, ROWS, 7))


def test_counts_files_columns_and_cells_under_each_version(data):
    ring = data.place.open()
    used = usage(ring, paths=[str(data.folder)])
    cell = used.of(ring.primary("cell").key_id)
    assert (cell.files, cell.columns, cell.cells) == (2, 4, 2 * (ROWS + NAMED))
    assert used.of(ring.primary("pseudonym").key_id).cells == 0
    assert used.unknown == {}
    assert used.unreadable == ()


def test_tells_cells_of_keys_that_the_keyring_does_not_have(data):
    from tests.keys.rings import make_place

    (data.folder.parent / "other").mkdir()
    other = make_place(data.folder.parent / "other").open()
    used = usage(other, paths=[str(data.folder)])
    assert used.unknown == {data.place.open().primary("cell").key_id.hex(): 2 * (ROWS + NAMED)}


def test_a_key_with_cells_is_not_destroyed(data):
    ring = new_version(data.place.open(), "cell")
    old = ring.keys["cell"][0].key_id
    with pytest.raises(Refused, match="are still under"):
        destroy_unused(ring, old, usage(ring, paths=[str(data.folder)]))
    assert data.place.open().find(old).state == "enabled"


def test_a_key_without_cells_is_destroyed_with_the_digest_of_the_inventory(data):
    ring = new_version(new_version(data.place.open(), "cell"), "cell")
    unused = ring.keys["cell"][1].key_id
    used = usage(ring, paths=[str(data.folder)])
    ring = destroy_unused(ring, unused, used)
    tombstone = data.place.open().find(unused)
    assert (tombstone.state, tombstone.secret, tombstone.proof) == ("destroyed", None, used.digest)


def test_the_primary_version_is_not_destroyed(data):
    ring = new_version(data.place.open(), "cell")
    with pytest.raises(UsageError, match="primary"):
        destroy_unused(ring, ring.primary("cell").key_id, usage(ring, paths=[str(data.folder)]))


def test_a_file_that_cannot_be_looked_through_proves_nothing(data):
    ring = new_version(new_version(data.place.open(), "cell"), "cell")
    unused = ring.keys["cell"][1].key_id
    for name, content in {"broken.parquet": b"PAR1 nothing", "what.xyz": b"?"}.items():
        (data.folder / name).write_bytes(content)
        used = usage(ring, paths=[str(data.folder)])
        assert [path for path, _ in used.unreadable] == [str(data.folder / name)]
        with pytest.raises(Refused, match="could not be looked through"):
            prove_unused(used, unused)
        (data.folder / name).unlink()
    with pytest.raises(Refused, match="could not be looked through"):
        prove_unused(usage(ring, paths=[str(data.folder / "gone.csv")]), unused)


def test_the_use_of_a_pseudonym_key_cannot_be_disproven(data):
    ring = new_version(data.place.open(), "pseudonym")
    with pytest.raises(Refused, match="nothing in the data tells"):
        prove_unused(usage(ring, paths=[str(data.folder)]), ring.keys["pseudonym"][0].key_id)


def test_a_keyring_that_changed_after_the_scan_makes_it_void(data):
    ring = new_version(data.place.open(), "cell")
    used = usage(ring, paths=[str(data.csv)])
    ring = new_version(ring, "cell")
    with pytest.raises(Refused, match="changed since"):
        destroy_unused(ring, ring.keys["cell"][0].key_id, used)


def test_nothing_to_look_through_is_an_error(data):
    with pytest.raises(UsageError):
        usage(data.place.open())


def test_whole_files_and_modular_parquet_count_under_the_file_key(data):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from pydp_cli.cli.parquet_modular import modular_of
    from pydp_cli.datasets.parquet_modular import encrypt_modular

    ring = data.place.open()
    source, target = data.folder.parent / "plain.parquet", data.folder / "modular.parquet"
    pq.write_table(pa.table({"a": [1, 2]}), source)
    encrypt_modular(str(source), str(target), modular_of(ring), "plain")
    used = usage(ring, paths=[str(data.folder)])
    of_file = used.of(ring.primary("file").key_id)
    assert (of_file.files, of_file.cells, used.unreadable) == (1, 1, ())
    raw = target.read_bytes()
    target.write_bytes(raw[:-4] + b"PARQ")
    assert usage(ring, paths=[str(data.folder)]).of(ring.primary("file").key_id).files == 0


def test_a_file_key_needs_folders_to_be_looked_through(data):
    ring = new_version(data.place.open(), "file")
    old = ring.keys["file"][0].key_id
    policy = data.place.folder / "pydp.yml" if hasattr(data.place, "folder") else data.folder.parent / "pydp.yml"
    policy.write_text(f"version: 1\ndatasets:\n  d: {{path: {data.csv}, other_columns: keep}}\n")
    from pydp_cli.policy.loader import load_policy

    loaded = load_policy(policy)
    with pytest.raises(Refused, match="does not tell where files are"):
        prove_unused(usage(ring, policy=loaded), old)
    assert prove_unused(usage(ring, policy=loaded, paths=[str(data.folder)]), old)
