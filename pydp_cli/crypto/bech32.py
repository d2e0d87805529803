"""Bech32 (BIP 173) without its limit of length: how age writes recipients and identities."""

from __future__ import annotations

ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
CHECKSUM_WORDS = 6
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def encode_bech32(prefix: str, data: bytes) -> str:
    """Write bytes under a lower-case prefix."""
    words = _regroup(data, 8, 5)
    assert words is not None
    check = _polymod([*_expand(prefix), *words, *[0] * CHECKSUM_WORDS]) ^ 1
    words += [check >> 5 * (CHECKSUM_WORDS - 1 - place) & 31 for place in range(CHECKSUM_WORDS)]
    return f"{prefix}1" + "".join(ALPHABET[word] for word in words)


def decode_bech32(text: str) -> tuple[str, bytes] | None:
    """Give the prefix (in the text's case) and the bytes; nothing where the text is mistyped."""
    if text not in {text.lower(), text.upper()} or not text.isascii():
        return None
    prefix, one, coded = text.rpartition("1")
    words = [ALPHABET.find(character) for character in coded.lower()]
    if not prefix or not one or -1 in words or len(words) < CHECKSUM_WORDS:
        return None
    if _polymod([*_expand(prefix.lower()), *words]) != 1:
        return None
    data = _regroup(words[:-CHECKSUM_WORDS], 5, 8)
    return None if data is None else (prefix, bytes(data))


def _expand(prefix: str) -> list[int]:
    return [*(ord(character) >> 5 for character in prefix), 0, *(ord(character) & 31 for character in prefix)]


def _polymod(words: list[int]) -> int:
    check = 1
    for word in words:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ word
        for place, generator in enumerate(_GENERATOR):
            check ^= generator if top >> place & 1 else 0
    return check


def _regroup(words: bytes | list[int], width: int, into: int) -> list[int] | None:
    """Cut the same bits into words of another width; when decoding, what is left over must be few zeros."""
    bits, count, out = 0, 0, []
    for word in words:
        bits, count = bits << width | word, count + width
        while count >= into:
            count -= into
            out.append(bits >> count)
            bits &= (1 << count) - 1
    if width > into:
        return [*out, bits << (into - count)] if count else out
    return None if count >= width or bits else out
