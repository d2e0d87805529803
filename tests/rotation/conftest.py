from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pydp_cli.pipeline.transform_files import Request, transform_files
from pydp_cli.policy.settings import policy_from_settings
from tests.keys.rings import make_place

ROWS = 500


@dataclass
class Data:
    """Files with cells under the first version of the key, and what they were in clear."""

    folder: Path
    place: object

    @property
    def csv(self):
        return self.folder / "people.csv"

    @property
    def parquet(self):
        return self.folder / "people.parquet"

    def encrypt(self, path, *settings):
        """Encrypt a file in place, as `pydp encrypt --set` does."""
        policy = policy_from_settings(list(settings), paths=[str(path)], purpose="encrypt")
        transform_files(Request("encrypt", policy, inputs=(str(path),), in_place=True), self.place.open)

    def decrypt(self, path):
        """Give a file's table in clear."""
        from pydp_cli.pipeline.compilation import Decryption

        policy = policy_from_settings([], paths=[str(path)], purpose="decrypt")
        target = self.folder.parent / f"clear{path.suffix}"
        request = Request(
            "decrypt",
            policy,
            inputs=(str(path),),
            output=str(target),
            force=True,
            decryption=Decryption(adhoc=True),
        )
        transform_files(request, self.place.open)
        return target.read_bytes() if path.suffix == ".csv" else pq.read_table(target)


def table(rows=ROWS):
    names = [None if n % 7 == 0 else f"name {n % 50}" for n in range(rows)]
    return pa.table({"id": list(range(rows)), "email": [f"p{n}@example.com" for n in range(rows)], "name": names})


def csv_text(rows=ROWS):
    lines = [f'{n:05d},p{n}@example.com,{"" if n % 7 == 0 else f"name {n % 50}"},"a ""b"""' for n in range(rows)]
    return "id,email,name,note\r\n" + "".join(f"{line}\r\n" for line in lines)


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rotation")
    (folder / "data").mkdir()
    data = Data(folder / "data", make_place(folder))
    data.csv.write_bytes(csv_text().encode())
    pq.write_table(table(), data.parquet, row_group_size=200)
    data.encrypt(data.csv, "email=random", "name=deterministic")
    data.encrypt(data.parquet, "email=random", "name=deterministic")
    return folder


@pytest.fixture
def data(template, tmp_path):
    import shutil

    from pydp_cli.keys.unlock import Unlock
    from tests.keys.rings import Place

    shutil.copytree(template, tmp_path / "w")
    folder = tmp_path / "w"
    place = Place(folder / "pydp.keyring", Unlock(key_file=folder / "ring.key"), folder / "seen")
    return Data(folder / "data", place)
