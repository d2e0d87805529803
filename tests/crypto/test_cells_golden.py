"""Cells that were written once open in every later version, and by the letter of the format."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from pydp_cli.crypto.cells import Place, open_cells

GOLDEN = json.loads((Path(__file__).parent / "golden" / "cells_1.json").read_text(encoding="utf-8"))
KEY, KEY_ID = bytes.fromhex(GOLDEN["key"]), bytes.fromhex(GOLDEN["key_id"])
COLUMNS = {column["name"]: column for column in GOLDEN["columns"]}


def cells_of(column):
    return [None if cell is None else bytes.fromhex(cell) for cell in column["cells"]]


@pytest.mark.parametrize("name", COLUMNS)
def test_golden_cells_open(name):
    column = COLUMNS[name]
    place = Place(**{**column["place"], "bind": tuple(column["place"].get("bind", ()))})
    bound = [pa.array(values, pa.string()) for values in column["bound"]]
    opened = open_cells(pa.array(cells_of(column)), {KEY_ID: KEY}, place, bound)
    assert opened.values.cast(pa.string()).to_pylist() == GOLDEN["values"]
    assert not len(opened.failed)
    assert not opened.unknown


def component(text):
    return len(text.encode()).to_bytes(4, "big") + text.encode()


@pytest.mark.parametrize("name", COLUMNS)
def test_a_decryptor_of_twenty_lines_reads_them(name):
    column, values = COLUMNS[name], []
    place = column["place"]
    for row, cell in enumerate(cells_of(column)):
        if cell is None:
            values.append(None)
            continue
        names = [place["domain"]] if "domain" in place else [place["dataset"], place["column"]]
        names += place.get("bind", [])
        kind = b"d" if "domain" in place else b"c"
        associated = [b"pydp cell 1" + cell[:5] + kind + b"".join(map(component, names))]
        associated += [b"\0" if one[row] is None else b"\1" + one[row].encode() for one in column["bound"]]
        start = 5
        if cell[0] == 2:
            associated.append(cell[5:21])
            start = 21
        plain = AESSIV(KEY).decrypt(cell[start:], associated)
        if plain[:1] == b"\xfa":
            plain = plain.rstrip(b"\0")[1:-1]
        values.append(None if plain[:1] == b"\xf8" else plain.decode())
    assert values == GOLDEN["values"]
