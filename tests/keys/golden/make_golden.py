"""Made the golden files of this folder, once for format version 1. A new format version gets new files beside them."""

import json
from pathlib import Path

from pydp_cli.keys import changes
from pydp_cli.keys.identities import create_identity_file
from pydp_cli.keys.keyring import create_keyring
from pydp_cli.keys.protectors import protect
from pydp_cli.keys.shares import split_ring
from pydp_cli.keys.unlock import Unlock, create_key_file
from tests.keys.rings import clock, fixed_random

HERE = Path(__file__).parent
PASSPHRASE = "gölden passphrase"


def main() -> None:
    create_key_file(HERE / "golden-1.key")
    unlock = Unlock(key_file=HERE / "golden-1.key")
    create_keyring(HERE / "plain-1.keyring", protect("key-file", unlock), clock=clock, random=fixed_random())
    ring = create_keyring(HERE / "rich-1.keyring", protect("key-file", unlock), clock=clock, random=fixed_random())
    first, second = ring.primary("cell").key_id, ring.primary("file").key_id
    ring = changes.new_version(ring, "cell", clock=clock)
    ring = changes.destroy(changes.disable(ring, first, clock=clock), first, proof="5f" * 32, clock=clock)
    ring = changes.new_version(ring, "cell", clock=clock)
    ring = changes.disable(changes.new_version(ring, "file", clock=clock), second, clock=clock)
    ring = changes.add_key(ring, "pseudonym/customer", clock=clock)
    ring = changes.add_pending(ring, "token", clock=clock)
    ring = changes.add_protector(ring, protect("passphrase", Unlock(passphrase=lambda: PASSPHRASE), label="Zoë"))
    for kind in ("x25519", "mlkem768x25519"):
        recipient = create_identity_file(HERE / f"{kind}-1.identity", kind)
        ring = changes.add_protector(ring, protect("recipient", Unlock(), {"recipient": str(recipient)}, label=kind))
    ring = changes.add_protector(ring, protect("command", Unlock(), {"secret": "echo a golden secret"}))
    ring, shares = split_ring(ring, threshold=2, shares=3, label="board")
    (HERE / "rich-1.keyring~").unlink()
    expected = {
        "generation": ring.generation,
        "passphrase": PASSPHRASE,
        "shares": shares,
        "states": [[v.name, v.version, v.key_id.hex(), v.state, v.proof] for v in ring.versions()],
        "column_keys": [
            [purpose, scope, column, key.key_id.hex(), key.key.hex()]
            for purpose, scope, column in (
                ("cell", "orders", "total"),
                ("fpe", "orders", "phone"),
                ("blind_index", "orders", "email"),
                ("pseudonym", "customer", ""),
                ("pseudonym", "email", "release=2026"),
                ("token", "card", ""),
                ("file", "", ""),
                ("sign", "audit", ""),
                ("cell", "größe", "ß"),
            )
            for key in [ring.column_key(purpose, scope, column)]
        ],
    }
    text = json.dumps(expected, indent=1, ensure_ascii=False) + "\n"
    (HERE / "rich-1.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
