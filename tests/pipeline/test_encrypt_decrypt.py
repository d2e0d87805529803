"""What `encrypt` makes of a file, `decrypt` brings back: every type, every mode, and nothing that was tampered with."""

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pydp_cli.errors import BadValue, PolicyError, Refused, Tampered, UnsupportedType, UsageError
from pydp_cli.pipeline.cell_metadata import mark_of
from pydp_cli.pipeline.compilation import Decryption
from pydp_cli.pipeline.transform_files import Request, transform_files
from tests.pipeline.rings import policy

MOMENT = dt.datetime(2024, 2, 29, 13, 5, 0, 250000)  # noqa: DTZ001
NUMBERS = [f"4{row:015d}" for row in range(5)]
VALUES = {
    "text": pa.array(["a", "", None, "é", "007"]),
    "large": pa.array(["a", "", None, "é", "x" * 3000], pa.large_string()),
    "view": pa.array(["a", "", None, "é", "longer than twelve"], pa.string_view()),
    "category": pa.array(["a", "b", None, "a", "a"]).dictionary_encode(),
    "int8": pa.array([1, -128, None, 127, 0], pa.int8()),
    "uint64": pa.array([1, 2**64 - 1, None, 3, 0], pa.uint64()),
    "half": pa.array([1, -2, None, 0.5, 0], pa.float16()),
    "float": pa.array([0.1, -0.0, None, float("inf"), 1e300]),
    "money": pa.array([Decimal("3.10"), None, Decimal("-0.01"), Decimal(0), Decimal("9.99")], pa.decimal128(12, 2)),
    "flag": pa.array([True, False, None, True, True]),
    "day": pa.array([dt.date(1, 1, 1), None, dt.date(9999, 12, 31)] + [dt.date(2000, 1, 1)] * 2),
    "moment": pa.array([MOMENT, None, MOMENT, MOMENT, MOMENT], pa.timestamp("us", "Europe/Berlin")),
    "naive": pa.array([MOMENT, None, MOMENT, MOMENT, MOMENT], pa.timestamp("ms")),
    "clock": pa.array([dt.time(1, 2, 3), None, None, dt.time(0), dt.time(23)], pa.time64("us")),
    "raw": pa.array([b"", b"\xff\x00", None, b"\xf8", b"abc"]),
    "fixed": pa.array([b"abcd", None, b"efgh", b"\0\0\0\0", b"abcd"], pa.binary(4)),
    "list": pa.array([[1, None], [], None, [2], [3]], pa.list_(pa.int16())),
    "struct": pa.array(
        [{"a": "x", "b": [1.5]}, None, {"a": None, "b": None}, {"a": "", "b": []}, {"a": "y", "b": [2]}]
    ),
    "map": pa.array([[("k", 1)], None, [], [("a", None)], [("b", 2)]], pa.map_(pa.string(), pa.int64())),
}


def transform(command, chosen, source, target, keyring, **more):
    request = Request(command, chosen, (str(source),), str(target), force=True, **more)
    return transform_files(request, lambda: keyring)


def write(path, columns, **options):
    fields = [pa.field(name, values.type, metadata={b"note": b"kept"}) for name, values in columns.items()]
    table = pa.Table.from_arrays(list(columns.values()), schema=pa.schema(fields, metadata={b"file": b"kept"}))
    pq.write_table(table, path, **options)
    return pq.read_table(path)


@pytest.mark.parametrize(
    "treatment",
    [
        "{encrypt: true}",
        "{encrypt: {mode: deterministic}}",
        "{encrypt: {mode: deterministic, domain: any}}",
        "{encrypt: {nulls: encrypt, pad: 16}}",
        "{encrypt: {bind: [key]}}",
    ],
)
@pytest.mark.parametrize("adhoc", [True, False])
def test_every_type_comes_back_from_parquet_with_its_field(tmp_path, keyring, treatment, adhoc):
    columns = {"key": pa.array([1, 2, None, 4, 5]), **VALUES}
    before = write(tmp_path / "in.parquet", columns, row_group_size=2)
    chosen = policy(dict.fromkeys(VALUES, treatment) | {"key": "keep"})
    transform("encrypt", chosen, tmp_path / "in.parquet", tmp_path / "out.parquet", keyring)
    encrypted = pq.read_table(tmp_path / "out.parquet")
    for name in VALUES:
        assert mark_of(encrypted.schema.field(name)) is not None
        assert encrypted.column(name).null_count == (0 if "nulls" in treatment else before.column(name).null_count)
        assert str(encrypted.schema.field(name).type) in ("string", "large_string", "string_view", "binary")
    reading = policy({"_": "keep"}, more="    other_columns: keep\n") if adhoc else chosen
    how = Decryption(adhoc=adhoc)
    transform("decrypt", reading, tmp_path / "out.parquet", tmp_path / "back.parquet", keyring, decryption=how)
    after = pq.read_table(tmp_path / "back.parquet")
    assert after.schema.equals(before.schema, check_metadata=True)
    for name in before.column_names:
        assert after.column(name).to_pylist() == before.column(name).to_pylist(), name
    plain = [name for name in before.column_names if name != "category"]  # dictionaries may list values differently
    assert after.select(plain).equals(before.select(plain))


def test_typed_columns_come_back_from_csv(tmp_path, keyring):
    types = {
        "int8": "int8", "uint64": "uint64", "float": "float64", "money": "decimal(12,2)", "flag": "bool", "day": "date",
        "moment": '"timestamp[us, Europe/Berlin]"', "naive": '"timestamp[ms]"', "clock": "time", "raw": "binary",
    }  # fmt: skip
    before = write(tmp_path / "in.parquet", {name: VALUES[name] for name in types})
    chosen = policy({name: f"{{type: {kind}, encrypt: true}}" for name, kind in types.items()})
    transform("encrypt", chosen, tmp_path / "in.parquet", tmp_path / "out.csv", keyring)
    transform("decrypt", chosen, tmp_path / "out.csv", tmp_path / "back.parquet", keyring)
    after = pq.read_table(tmp_path / "back.parquet")
    assert after.schema.types == before.schema.types
    assert after.cast(before.schema).equals(before)


def test_without_its_metadata_a_file_is_decrypted_by_the_policy(tmp_path, keyring):
    before = write(tmp_path / "in.parquet", {"n": VALUES["int8"], "text": VALUES["text"]})
    chosen = policy({"n": "{type: int8, encrypt: true}", "text": "{encrypt: true}"})
    transform("encrypt", chosen, tmp_path / "in.parquet", tmp_path / "out.parquet", keyring)
    pq.write_table(pq.read_table(tmp_path / "out.parquet").replace_schema_metadata(None), tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    bare = pa.schema([pa.field(one.name, one.type) for one in table.schema])
    pq.write_table(pa.Table.from_arrays(table.columns, schema=bare), tmp_path / "bare.parquet", store_schema=False)
    transform("decrypt", chosen, tmp_path / "bare.parquet", tmp_path / "back.parquet", keyring)
    assert pq.read_table(tmp_path / "back.parquet").to_pylist() == before.to_pylist()


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize(
    "spec",
    [
        "fpe: {keep_first: 6, check_digit: luhn}",
        "fpe: true",
        "fpe: {alphabet: alphanumeric}, domain: cards",
        "fpe: {alphabet: '0123456789-'}",
    ],
)
def test_format_preserving_columns_come_back(tmp_path, keyring, form, spec):
    values = ["4111 1111-1111 1111", "5500 0055-5555 5559", None, "", "4111 1111-1111 1112"]
    if "keep" in spec:
        values += ["4000-0012-3456-7899-000"]
    columns = {"card": pa.array(values)}
    write(tmp_path / "in.parquet", columns)
    chosen = policy({"card": f"{{encrypt: {{{spec}}}}}"})
    transform("encrypt", chosen, tmp_path / "in.parquet", tmp_path / f"out.{form}", keyring)
    transform("encrypt", chosen, tmp_path / "in.parquet", tmp_path / "look.parquet", keyring)
    made = pq.read_table(tmp_path / "look.parquet").column("card").to_pylist()
    for old, new in zip(values, made, strict=True):
        if not old:
            assert new == old
            continue
        assert new != old
        assert len(new) == len(old)
        if "'" not in spec:
            assert [one for one in new if not one.isalnum()] == [one for one in old if not one.isalnum()]
        if "keep" in spec:
            assert new[:7] == old[:7]
            assert luhn(new) == luhn(old)
    transform("decrypt", chosen, tmp_path / f"out.{form}", tmp_path / "back.parquet", keyring)
    assert pq.read_table(tmp_path / "back.parquet").column("card").to_pylist() == values


def luhn(text):
    digits = [int(one) for one in text if one.isdigit()][::-1]
    doubled = [sum(divmod(2 * one, 10)) if place % 2 else one for place, one in enumerate(digits)]
    return sum(doubled) % 10


def test_ibans_stay_valid_and_come_back(tmp_path, keyring):
    values = ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "DE88 3704 0044 0532 0130 00"]
    write(tmp_path / "in.parquet", {"iban": pa.array(values)})
    chosen = policy({"iban": "{encrypt: {fpe: {check_digit: iban}}}"})
    transform("encrypt", chosen, tmp_path / "in.parquet", tmp_path / "out.parquet", keyring)
    made = pq.read_table(tmp_path / "out.parquet").column("iban").to_pylist()
    for old, new in zip(values, made, strict=True):
        assert remainder(new) == remainder(old)
        assert new[:2] == old[:2]
        assert new[4:] != old[4:]
    transform("decrypt", chosen, tmp_path / "out.parquet", tmp_path / "back.parquet", keyring)
    assert pq.read_table(tmp_path / "back.parquet").column("iban").to_pylist() == values


def remainder(iban):
    plain = iban.replace(" ", "")
    return int("".join(str(int(one, 36)) for one in plain[4:] + plain[:4])) % 97


@pytest.mark.parametrize(
    ("values", "spec", "error"),
    [
        (["12345"], "fpe: true", BadValue),
        (["4111111111111111"], "fpe: {keep_first: 6, keep_last: 6}", BadValue),
        ([5], "fpe: true", UnsupportedType),
        (["4111111111111111"], "fpe: {alphabet: aab}", UsageError),
        (["4111111111111111"], "fpe: {check_digit: mod11}", UsageError),
        (["4111111111111111"], "fpe: {alphabet: hex, check_digit: luhn}", UsageError),
        (["x"], "per_subject: true", UsageError),
        (["x"], "bind: [v]", UsageError),
        (["x"], "bind: [w]", PolicyError),
        (["x"], "blind_index: {population: 15}", UsageError),
        ([{"a": 1}], "blind_index: {bits: 8}", UnsupportedType),
    ],
)
def test_what_would_not_protect_is_refused(tmp_path, keyring, values, spec, error):
    write(tmp_path / "in.parquet", {"v": pa.array(values)})
    with pytest.raises(error):
        transform(
            "encrypt", policy({"v": f"{{encrypt: {{{spec}}}}}"}), tmp_path / "in.parquet", tmp_path / "o", keyring
        )
    assert not (tmp_path / "o").exists()


def test_a_blind_index_is_short_follows_the_normalised_value_and_goes_with_decryption(tmp_path, keyring):
    values = [f"person{row}@example.com" for row in range(400)]
    (tmp_path / "in.csv").write_text("\n".join(["email", *values, values[0].upper()]) + "\n")
    chosen = policy({"email": "{encrypt: {blind_index: {population: 400}}}"}, more="    identifiers: {email: email}\n")
    chosen = (
        type(chosen)
        .model_validate({**chosen.to_data(), "identities": {"email": {"normalize": ["casefold"]}}})
        .located(tmp_path, None)
    )
    transform("encrypt", chosen, tmp_path / "in.csv", tmp_path / "out.parquet", keyring)
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.column_names == ["email", "email_bidx"]
    index = table.column("email_bidx").to_pylist()
    assert index[0] == index[-1]
    assert 2 <= 400 / 2**6 <= 20
    assert 30 < len(set(index)) <= 64
    transform("encrypt", chosen, tmp_path / "in.csv", tmp_path / "out.csv", keyring)
    for form in ("csv", "parquet"):
        transform("decrypt", chosen, tmp_path / f"out.{form}", tmp_path / "back.csv", keyring)
        assert (tmp_path / "back.csv").read_bytes() == (tmp_path / "in.csv").read_bytes()
    some = Decryption(columns=frozenset({"email"}))
    transform("decrypt", chosen, tmp_path / "out.parquet", tmp_path / "back.csv", keyring, decryption=some)
    assert (tmp_path / "back.csv").read_bytes() == (tmp_path / "in.csv").read_bytes()


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_tokens_of_anonymize_are_undone(tmp_path, keyring, form):
    (tmp_path / "in.csv").write_text("id,card,mail\n1,4111 1111 1111 1111,a@b\n2,,c@d\n")
    chosen = policy(
        {
            "id": "keep",
            "card": "{token: {check_digit: luhn, keep_first: 6}}",
            "mail": "{anonymize: keep, encrypt: true}",
        }
    )
    transform("anonymize", chosen, tmp_path / "in.csv", tmp_path / f"out.{form}", keyring)
    transform("decrypt", chosen, tmp_path / f"out.{form}", tmp_path / "back.csv", keyring)
    assert (tmp_path / "back.csv").read_bytes() == (tmp_path / "in.csv").read_bytes()
    if form == "parquet":
        adhoc = policy({"_": "keep"}, more="    other_columns: keep\n")
        how = Decryption(adhoc=True)
        transform("decrypt", adhoc, tmp_path / "out.parquet", tmp_path / "again.csv", keyring, decryption=how)
        assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "in.csv").read_bytes()


def test_tokens_are_left_alone_in_a_file_that_encrypt_made(tmp_path, keyring):
    (tmp_path / "in.csv").write_text("card,mail\n4111111111111111,a@b\n")
    chosen = policy({"card": "token", "mail": "{anonymize: keep, encrypt: true}"})
    transform("encrypt", chosen, tmp_path / "in.csv", tmp_path / "out.csv", keyring)
    transform("decrypt", chosen, tmp_path / "out.csv", tmp_path / "back.csv", keyring)
    assert (tmp_path / "back.csv").read_bytes() == (tmp_path / "in.csv").read_bytes()


@pytest.mark.parametrize("kind", [pa.int32(), pa.uint16()])
def test_numbers_that_are_tokens_get_their_type_back(tmp_path, keyring, kind):
    before = write(tmp_path / "in.parquet", {"n": pa.array([1234567, None, 7654321], pa.int32())})
    del kind
    chosen = policy({"n": "token"})
    transform("anonymize", chosen, tmp_path / "in.parquet", tmp_path / "out.parquet", keyring)
    transform("decrypt", chosen, tmp_path / "out.parquet", tmp_path / "back.parquet", keyring)
    assert pq.read_table(tmp_path / "back.parquet").equals(before)


def test_tokens_that_were_encrypted_come_back_in_two_steps(tmp_path, keyring):
    before = write(tmp_path / "0.parquet", {"n": pa.array(["4111111111111111"])})
    chosen = policy({"n": "{anonymize: token, encrypt: true}"})
    steps = (("anonymize", 0, 1), ("encrypt", 1, 2), ("decrypt", 2, 3), ("decrypt", 3, 4))
    for command, source, target in steps:
        transform(command, chosen, tmp_path / f"{source}.parquet", tmp_path / f"{target}.parquet", keyring)
    assert pq.read_table(tmp_path / "3.parquet").equals(pq.read_table(tmp_path / "1.parquet"))
    assert pq.read_table(tmp_path / "4.parquet").equals(before)


def test_bound_columns_may_be_encrypted_themselves(tmp_path, keyring):
    before = write(tmp_path / "in.parquet", {"id": pa.array([1, 2]), "v": pa.array(["a", "b"])})
    chosen = policy({"id": "{encrypt: {mode: deterministic}}", "v": "{encrypt: {bind: [id]}}"})
    transform("encrypt", chosen, tmp_path / "in.parquet", tmp_path / "out.parquet", keyring)
    for columns in (None, frozenset({"v"})):
        how = Decryption(columns=columns)
        transform("decrypt", chosen, tmp_path / "out.parquet", tmp_path / "b.parquet", keyring, decryption=how)
        assert pq.read_table(tmp_path / "b.parquet").column("v").to_pylist() == ["a", "b"]
    transform("decrypt", chosen, tmp_path / "out.parquet", tmp_path / "b.parquet", keyring)
    assert pq.read_table(tmp_path / "b.parquet").equals(before)


def test_two_columns_bound_to_each_other_are_refused(tmp_path, keyring):
    write(tmp_path / "in.parquet", {"a": pa.array(["1"]), "b": pa.array(["2"])})
    chosen = policy({"a": "{encrypt: {bind: [b]}}", "b": "{encrypt: {bind: [a]}}"})
    with pytest.raises(UsageError, match="bound to other columns itself"):
        transform("encrypt", chosen, tmp_path / "in.parquet", tmp_path / "o", keyring)


def test_metadata_that_names_another_dataset_does_not_open_its_cells(tmp_path, keyring):
    write(tmp_path / "in.parquet", {"v": pa.array(["a"])})
    chosen = policy({"v": "{encrypt: true}"})
    transform("encrypt", chosen, tmp_path / "in.parquet", tmp_path / "out.parquet", keyring)
    table = pq.read_table(tmp_path / "out.parquet")
    column = table.schema.field("v")
    forged = column.with_metadata({b"pydp": column.metadata[b"pydp"].replace(b'"people"', b'"staff"')})
    pq.write_table(pa.Table.from_arrays(table.columns, schema=pa.schema([forged])), tmp_path / "forged.parquet")
    with pytest.raises(Refused, match="staff"):
        transform("decrypt", chosen, tmp_path / "forged.parquet", tmp_path / "back.parquet", keyring)
    adhoc = policy({"_": "keep"}, more="    other_columns: keep\n")
    how = Decryption(adhoc=True)
    with pytest.raises(Tampered):
        transform("decrypt", adhoc, tmp_path / "forged.parquet", tmp_path / "back.parquet", keyring, decryption=how)


def test_a_wide_file_with_workers_comes_back(tmp_path, keyring):
    (tmp_path / "in.csv").write_text(
        ",".join(f"c{place}" for place in range(300)) + "\n" + (",".join(["value"] * 300) + "\n") * 3
    )
    chosen = policy({f"c{place}": "{encrypt: true}" for place in range(300)})
    transform("encrypt", chosen, tmp_path / "in.csv", tmp_path / "out.csv", keyring, workers=2)
    transform("decrypt", chosen, tmp_path / "out.csv", tmp_path / "back.csv", keyring, workers=2)
    assert (tmp_path / "back.csv").read_bytes() == (tmp_path / "in.csv").read_bytes()


def test_workers_decrypt_the_same_and_place_errors_by_row_of_the_file(tmp_path, keyring):
    rows = 60_000
    (tmp_path / "in.csv").write_text("v,w\n" + "".join(f"value number {row},{row}\n" for row in range(rows)))
    chosen = policy({"v": "{encrypt: true}", "w": "{encrypt: {bind: [v]}}"})
    transform("encrypt", chosen, tmp_path / "in.csv", tmp_path / "out.csv", keyring, workers=2)
    transform("decrypt", chosen, tmp_path / "out.csv", tmp_path / "back.csv", keyring, workers=2)
    assert (tmp_path / "back.csv").read_bytes() == (tmp_path / "in.csv").read_bytes()
    lines = (tmp_path / "out.csv").read_text().splitlines()
    lines[50_001] = lines[50_002]
    lines[50_003] = lines[50_003][:10] + lines[50_003][11:]
    (tmp_path / "bad.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(Tampered) as error:
        transform("decrypt", chosen, tmp_path / "bad.csv", tmp_path / "b.csv", keyring, workers=2)
    assert 'row 50003, column "v"' in str(error.value.place)


def test_cells_that_appear_after_many_empty_rows_are_not_let_pass(tmp_path, keyring):
    rows = "1,\n" * 700_000
    (tmp_path / "in.csv").write_text("id,v,w\n" + rows.replace(",\n", ",,x\n") + "2,late,x\n")
    chosen = policy({"v": "{encrypt: true}", "w": "{encrypt: true}"}, more="    other_columns: keep\n")
    transform("encrypt", chosen, tmp_path / "in.csv", tmp_path / "out.csv", keyring)
    adhoc = policy({"_": "keep"}, more="    other_columns: keep\n")
    with pytest.raises(Tampered, match="cells come after many rows"):
        transform(
            "decrypt", adhoc, tmp_path / "out.csv", tmp_path / "b.csv", keyring, decryption=Decryption(adhoc=True)
        )
