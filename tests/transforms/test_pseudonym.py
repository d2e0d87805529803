import math
import pickle
import re
import uuid

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pydp_cli.errors import UnsupportedType
from pydp_cli.transforms.pseudonym import Pseudonym
from pydp_cli.transforms.pseudonym_formats import mail_domains
from pydp_cli.transforms.registry import transforms
from tests.transforms.keyed import binding, texts, treat

# What the key of the tests makes of these values, for ever: a change here unlinks every dataset made before.
SOURCE = ["Ada@Example.com", None, "", "7", "x@y@Müller.DE"]
GOLDEN = {
    "id": ["ncguwzg4lue2riyg", None, "flkx5ptxcfrvqd2z", "zefmjpoeuzmmkm7y", "glqs62shiaz5dah2"],
    "uuid": [
        "688d4b64-dc5d-89a8-a306-e45986fb7831",
        None,
        "2ad57ebe-7711-8358-8f59-e3b75884bf3a",
        "c90ac4bd-c4a6-88c5-b3f8-3ef62c21c680",
        "32e12f6a-4740-83d1-80fa-cf01502df6eb",
    ],
    "integer": [3766880324113302740, None, 1543256238069428652, 7243303735358860386, 1833131852582361576],
    "email": [
        "ncguwzg4lue2riyg@example.org",
        None,
        "flkx5ptxcfrvqd2z@example.org",
        "zefmjpoeuzmmkm7y@example.org",
        "glqs62shiaz5dah2@example.org",
    ],
    "name": ["Theresa Ball", None, "Colleen Reynolds", "Johnny Dougherty", "Annette Arellano"],
    "first_name": ["Theresa", None, "Colleen", "Johnny", "Annette"],
    "last_name": ["Joyce", None, "Franco", "Riggs", "Case"],
    "city": ["New Grahamshire", None, "East Jensenton", "Lake Hawkinsfurt", "Lake Porterton"],
    "company": ["Joyce & Mclean LLC", None, "Franco & Smith Inc", "Riggs & Perry and Sons", "Case & Peterson PLC"],
    "street": ["115 Hooper Cape", None, "98 Hartman Route", "168 Conner Shores", "96 Glass Dam"],
}
MANY = st.lists(st.none() | st.text(max_size=40), max_size=30)


@pytest.mark.parametrize("shape", GOLDEN)
def test_makes_the_golden_values(shape):
    assert treat(Pseudonym(format=shape, domain="customer"), texts(*SOURCE)).to_pylist() == GOLDEN[shape]


@pytest.mark.parametrize("locale", Pseudonym.model_json_schema()["properties"]["locale"]["enum"])
def test_has_fake_values_of_every_locale(locale):
    for shape in ("name", "city", "company", "street"):
        options = Pseudonym(format=shape, locale=locale)
        values = treat(options, texts(*map(str, range(300))))
        assert pc.count_distinct(values).as_py() > 20
        assert options.space_bits() > 5
        assert not any("{" in value or value != value.strip() for value in values.to_pylist())


@pytest.mark.parametrize("shape", GOLDEN)
@given(values=MANY, cut=st.integers(0, 30))
@settings(max_examples=25)
def test_equals_itself_however_the_rows_are_cut(shape, values, cut):
    column = texts(*values)
    options = Pseudonym(format=shape)
    parts = [treat(options, part) for part in (column[:cut], column[cut:])]
    whole = treat(options, column)
    assert pa.chunked_array(parts).combine_chunks() == whole
    assert pc.is_null(whole) == pc.is_null(column)


@given(st.lists(st.text(max_size=20), min_size=1, unique=True, max_size=50))
def test_differs_between_values_domains_and_releases(values):
    column = texts(*values)
    made = [
        treat(Pseudonym(domain="a"), column),
        treat(Pseudonym(domain="b"), column),
        treat(Pseudonym(domain="a", release="2026Q4"), column),
    ]
    assert len({value for ids in made for value in ids.to_pylist()}) == 3 * len(values)


def test_takes_the_release_of_the_policy_and_the_columns_name_for_a_domain():
    column = texts("a", "b")
    assert treat(Pseudonym(), column, name="customer") == treat(Pseudonym(domain="customer"), column)
    released = treat(Pseudonym(), column, release="q1")
    assert released == treat(Pseudonym(release="q1"), column)
    assert released != treat(Pseudonym(), column)
    assert Pseudonym().key_label("id") == "pseudonym/id"


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())])
def test_is_the_same_for_every_physical_type_of_text(kind):
    column = texts("a", None, "ü", "a")
    assert treat(Pseudonym(), column.cast(kind)) == treat(Pseudonym(), column)


def test_numbers_and_their_text_are_one_value_but_leading_zeros_count():
    numbers = treat(Pseudonym(), pa.array([7, 8, None], pa.int16()))
    assert numbers == treat(Pseudonym(), texts("7", "8", None))
    assert numbers[0] != treat(Pseudonym(), texts("007"))[0]


def test_normalises_for_comparing_only():
    rules = ("nfkc", "strip", "casefold")
    spellings = texts("Ada@X.org", " ada@x.ORG", "\uff21da@x.org", "ada@x.org")
    made = treat(Pseudonym(format="email"), spellings, normalize=lambda _domain: rules)
    assert pc.count_distinct(made).as_py() == 1
    assert pc.count_distinct(treat(Pseudonym(format="email"), spellings)).as_py() == 4
    assert treat(Pseudonym(format="email", normalize=rules), spellings) == made


def test_does_not_collide_within_the_bound():
    column = pc.cast(pa.array(np.arange(1_000_000)), pa.string())
    words = np.random.default_rng(1).integers(0, 256, (len(column), 16), np.uint8)
    rendering = Pseudonym().bind(binding()).rendering
    assert pc.count_distinct(rendering(words, column)).as_py() == len(column)
    assert (10**9) ** 2 / 2 / 2 ** Pseudonym().space_bits() < 1e-6  # among a billion people


def test_tells_how_many_pseudonyms_there_are():
    assert Pseudonym(bits=20).space_bits() == 20
    assert Pseudonym(format="uuid").space_bits() == 122
    assert Pseudonym(format="integer").space_bits() == 63
    assert math.isclose(Pseudonym(format="name").space_bits(), math.log2(690 * 1000))


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        ({}, r"[a-z2-7]{16}"),
        ({"bits": 120}, r"[a-z2-7]{24}"),
        ({"bits": 65, "prefix": "cust-"}, r"cust-[a-z2-7]{13}"),
        ({"encoding": "hex"}, r"[0-9a-f]{20}"),
        ({"encoding": "hex", "bits": 44}, r"[0-9a-f]{11}"),
        ({"format": "email", "bits": 100, "prefix": "ü"}, r"ü[a-z2-7]{20}@example\.org"),
    ],
)
def test_ids_have_the_shape_that_is_asked_for(options, pattern):
    for value in treat(Pseudonym(**options), texts("a", "b", "")).to_pylist():
        assert re.fullmatch(pattern, value)


def test_base32_digits_are_those_of_the_standard_library():
    import base64

    rng = np.random.default_rng(2)
    words = rng.integers(0, 256, (50, 16), np.uint8)
    column = texts(*["x"] * 50)
    for bits in range(10, 121, 5):
        made = Pseudonym(bits=bits).bind(binding()).rendering(words, column).to_pylist()
        assert made == [base64.b32encode(row.tobytes()).decode().lower()[: bits // 5] for row in words]


def test_uuids_are_of_version_8():
    for value in treat(Pseudonym(format="uuid"), texts("a", "b", "c")).to_pylist():
        assert uuid.UUID(value).version == 8
        assert uuid.UUID(value).variant == uuid.RFC_4122


@pytest.mark.parametrize(
    ("taken", "bits", "given"),
    [
        (pa.string(), None, pa.int64()),
        (pa.int64(), None, pa.int64()),
        (pa.uint64(), None, pa.uint64()),
        (pa.int32(), None, pa.int64()),
        (pa.int32(), 31, pa.int32()),
        (pa.int32(), 32, pa.int64()),
        (pa.uint32(), 32, pa.uint32()),
        (pa.date32(), 40, pa.int64()),
    ],
)
def test_integers_keep_their_type_where_the_bits_fit_it(taken, bits, given):
    options = Pseudonym(format="integer", bits=bits)
    assert options.gives(taken) == given
    column = pa.array([1, None, 3], pa.int32()).cast(taken)
    values = [value for value in treat(options, column).to_pylist() if value is not None]
    assert all(0 <= value < 2 ** (bits or 63) for value in values)


def test_mail_domains_are_replaced_kept_or_pseudonymised():
    column = texts("a@Big.com", "b@tiny.example", "nothing", None, "c@big.com")

    def domains(**options):
        return mail_domains(treat(Pseudonym(format="email", **options), column)).to_pylist()

    assert domains() == ["example.org", "example.org", "example.org", "", "example.org"]
    assert domains(mail_domain="keep") == ["big.com", "tiny.example", "example.org", "", "big.com"]
    hidden = domains(mail_domain="pseudonym", replacement="mail.test")
    assert hidden[0] == hidden[4] != hidden[1]
    assert hidden[0].endswith(".mail.test")
    kept = domains(keep_domains=["BIG.com"])
    assert kept[0] == kept[4] == "big.com"
    assert kept[1].endswith(".example.org")


@given(st.lists(st.none() | st.text("aé@", max_size=8), max_size=10), st.integers(0, 5))
def test_a_mail_domain_is_what_follows_the_last_sign(values, start):
    found = mail_domains(texts(*values)[start:]).to_pylist()
    assert found == ["" if value is None or "@" not in value else value.rpartition("@")[2] for value in values[start:]]


@pytest.mark.parametrize(
    "options",
    [
        {"bits": 81},
        {"bits": 125},
        {"bits": 82, "encoding": "hex"},
        {"format": "integer", "bits": 64},
        {"format": "uuid", "bits": 80},
        {"format": "name", "locale": "xx_XX"},
        {"format": "email", "mail_domain": "keep", "keep_domains": ["a.b"]},
        {"format": "email", "replacement": "a@b"},
        {"normalize": ["upside_down"]},
        {"domain": ""},
    ],
)
def test_refuses_options_that_do_not_fit_together(options):
    with pytest.raises(ValidationError):
        Pseudonym(**options)


def test_does_not_take_nested_values():
    with pytest.raises(UnsupportedType):
        Pseudonym().check_takes(pa.list_(pa.string()), "tags")


def test_is_picklable_and_does_not_show_its_key():
    bound = Pseudonym(format="email", keep_domains=["a.b"]).bind(binding())
    again = pickle.loads(pickle.dumps(bound))
    assert again(texts("x@a.b")) == bound(texts("x@a.b"))
    assert "key=" not in repr(bound)


def test_is_listed_with_what_it_leaks():
    info = transforms()["pseudonym"].info
    assert info.keyed
    assert not info.reversible
    assert "equal" in info.leaks
    assert "mail domains" in Pseudonym(format="email", mail_domain="keep").leak()
