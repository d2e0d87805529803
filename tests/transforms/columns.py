"""What the tests of column transforms share: generated columns, and what holds for every transform."""

from pathlib import Path

import pyarrow as pa
from hypothesis import strategies as st

from pydp_cli.transforms.registry import Binding


def derive_key(purpose, scope, column="", *, length=64):
    raise AssertionError("this transform has no business with keys")


def treat(options, column, *, base_dir=Path(), name="column", derive_key=derive_key):
    """Treat a column, and check what every transform promises: types, lengths, and that rows do not see each other."""
    options.check_takes(column.type, name)
    function = options.bind(Binding("dataset", name, column.type, derive_key, base_dir))
    given = options.gives(column.type)

    def checked(part):
        result = function(part, None)
        result.validate(full=True)
        assert result.type == given
        assert len(result) == len(part)
        return result

    whole = checked(column)
    assert len(checked(column.slice(0, 0))) == 0
    for start in {0, len(column) // 3, len(column) // 2}:
        part = checked(column.slice(start, 9))
        assert part.to_pylist().__repr__() == whole.slice(start, 9).to_pylist().__repr__()
    return whole


def treat_all(options, *values, kind=None):
    return treat(options, pa.array(values, kind or pa.string())).to_pylist()


# surrogates cannot be written to a file; everything else can
characters = st.characters(exclude_categories=("Cs",))
ascii_texts = st.text(st.characters(max_codepoint=127), max_size=30)
any_texts = st.text(characters, max_size=30)


@st.composite
def columns(draw, values, kind, max_size=20):
    """A column with nulls, sometimes all null, sometimes a slice out of a longer one."""
    column = pa.array(draw(st.lists(st.none() | values, max_size=max_size)), kind)
    start = draw(st.integers(0, len(column)))
    return column.slice(start, draw(st.integers(0, len(column))))


text_columns = columns(ascii_texts | any_texts, pa.string())
integers = st.integers(-(2**63), 2**63 - 1) | st.integers(-1000, 1000)
floats = st.floats() | st.floats(-1000, 1000) | st.integers(-1000, 1000).map(float)
