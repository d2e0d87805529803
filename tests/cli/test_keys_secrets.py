"""No secret leaves by what `pydp keys` prints or writes, whether it ends well or not."""

import base64
import re

import pytest

KEY = ("--keyring", "ring", "--key-file", "key")
PASSPHRASE = "golden secret passphrase"


@pytest.fixture
def secrets(work):
    """A keyring with a protector of each kind that needs no service, and everything about it that nobody may see."""
    work.write("pass", PASSPHRASE).chmod(0o600)
    work.write("said", "golden secret of a command")
    work.write("alice.pub", work.pydp("keys", "identity", "new", "alice.identity", "--kind", "x25519").out)
    work.pydp("keys", "add-protector", "--new-passphrase-file", "pass", *KEY)
    work.pydp("keys", "add-protector", "recipient", "recipient=alice.pub", *KEY)
    work.pydp("keys", "add-protector", "command", "secret=cat said", *KEY)
    work.pydp("keys", "split", "--threshold", 2, "--shares", 2, "-o", "shares", *KEY)
    work.pydp("keys", "export", "--tink", "--column", "a.b", "-o", "keyset", *KEY)
    return work


def forbidden(work):
    """Give every secret, and what each looks like in hexadecimal and base64."""
    from pydp_cli.keys.keyring import open_keyring
    from pydp_cli.keys.unlock import Unlock, read_key_file

    ring = open_keyring(work.path("ring"), Unlock(key_file=work.path("key")))
    raw = [ring.root, read_key_file(work.path("key")), *(v.secret for v in ring.versions() if v.secret)]
    raw += [ring.column_key("cell", "a", "b").key, PASSPHRASE.encode(), b"golden secret of a command"]
    looks = [look for secret in raw for look in (bytes(secret), secret.hex().encode(), base64.b64encode(secret))]
    (identity,) = re.findall(rb"^pydp-identity-x25519:(\S+)$", work.path("alice.identity").read_bytes(), re.MULTILINE)
    shares = [path.read_bytes().split(maxsplit=1)[1].strip() for path in work.path("shares").iterdir()]
    keyset = re.findall(rb'"value": "(\S+)"', work.path("keyset").read_bytes())
    assert len(shares) == 2
    assert keyset
    # a part is as bad as the whole; the first groups of a share name its keyring
    groups = [group for share in shares for group in share.split()[2:-2]]
    return [*looks, identity[8:24], *groups, *(value[8:24] for value in keyset)]


def commands(work):
    """Give command lines that succeed and that fail, with every way to unlock."""
    share = work.path("shares/share-1-of-2.txt")
    ring = ("--keyring", "ring")
    work.write("wrong", "another golden passphrase").chmod(0o600)
    work.write("broken", work.read("alice.identity")[:-9]).chmod(0o600)
    work.write("typo", share.read_text()[:-9] + "AAAAAAAA").chmod(0o600)
    return [
        ("keys", "list", *KEY),
        ("keys", "list", "--json", *ring, "--passphrase-file", "pass"),
        ("keys", "show", "--json", *ring, "--identity", "alice.identity"),
        ("keys", "show", "--locked", "--json", *ring),
        ("keys", "show", "cell", *ring),
        ("keys", "list", *ring, "--passphrase-file", "wrong"),
        ("keys", "list", *ring, "--identity", "broken"),
        ("keys", "list", *ring, "--identity", "key"),
        ("keys", "list", *ring, "--key-file", "alice.identity"),
        ("keys", "list", *ring, "--key-file", "pass"),
        ("keys", "list", *ring, "--share-file", share),
        ("keys", "list", *ring, "--share-file", "typo", "--share-file", share),
        ("keys", "combine", *ring, "--share-file", "pass", "--new-key-file", "k2"),
        ("keys", "import", "--tink", "pass", "--column", "a.b", *KEY),
        ("keys", "import", "--tink", "keyset", "--column", "a.b", *KEY),
        ("keys", "new-version", "cell", "--json", *KEY),
        ("keys", "backup", "copy", *KEY),
        ("keys", "verify-backup", "copy", *KEY),
        ("keys", "verify-backup", "key", *KEY),
        ("keys", "list", "--keyring", "pass", "--key-file", "key"),
        ("keys", "init", "--keyring", "r2", "--passphrase-file", "pass", "--key-file", "key"),
        ("keys", "init", "--keyring", "r3", "--key-file", "key3", "-q"),
        ("keys", "list", "--keyring", "r3", "--key-file", "key"),
        ("keys", "list", "--keyring", "r3", "--passphrase-file", "pass"),
        ("anonymize", "--key-file", "key", "-o", "out.csv", "--report", "report.json"),
        ("anonymize", "--passphrase-file", "wrong"),
    ]


def test_no_secret_is_printed_or_written(secrets, tmp_path):
    looks = forbidden(secrets)
    own = {"key", "pass", "said", "alice.identity", "keyset", "broken", "typo", "wrong"}
    codes = set()
    for command in commands(secrets):
        result = secrets.pydp(*command)
        codes.add(result.code)
        printed = (result.out + result.err).encode()
        assert not [look for look in looks if look in printed], command
    assert codes == {0, 2, 3}
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    written = [path for path in files if path.name not in own and path.parent.name != "shares"]
    assert any(path.name == "report.json" for path in written)
    assert any("state" in path.parts for path in written)
    for path in written:
        assert not [look for look in looks if look in path.read_bytes()], path
