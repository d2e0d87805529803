"""Make the golden envelopes anew: only for a new version of the format, beside the old ones."""

import shutil
import tempfile
from pathlib import Path

from pydp_cli.crypto.container import encrypt_stream, rewrap
from pydp_cli.keys.file_keys import unwrap_with_keyring, wrap_to, wrap_with_keyring
from pydp_cli.keys.identities import read_identity_file
from pydp_cli.keys.keyring import open_keyring
from pydp_cli.keys.unlock import Unlock

HERE = Path(__file__).parent
PLAIN = (bytes(range(256)) * 200)[:20_000]


def make():
    with tempfile.TemporaryDirectory() as made:
        folder = Path(shutil.copytree(HERE.parents[1] / "keys" / "golden", Path(made) / "golden"))
        for path in folder.iterdir():
            path.chmod(0o600)
        ring = open_keyring(folder / "plain-1.keyring", Unlock(key_file=folder / "golden-1.key"))
        kinds = ("x25519", "mlkem768x25519")
        recipients = [read_identity_file(folder / f"{kind}-1.identity").recipient() for kind in kinds]
        wraps = [wrap_with_keyring(ring), *map(wrap_to, recipients)]
        (folder / "plain").write_bytes(PLAIN)
        target = HERE / "envelope-1.bin.pydp"
        with (folder / "plain").open("rb") as source, target.open("xb") as sink:
            encrypt_stream(source, sink, wraps, created=1_750_000_000, name=b"envelope-1.bin", context=b"golden")
        again = HERE / "rewrapped-1.bin.pydp"
        raw = bytearray(target.read_bytes())
        raw[4096] ^= 1  # a damaged copy makes it write both anew
        again.write_bytes(raw)
        assert rewrap(again, [unwrap_with_keyring(ring)], wraps)


if __name__ == "__main__":
    make()
