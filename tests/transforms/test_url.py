from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.transforms.url import Url
from tests.transforms.columns import text_columns, treat, treat_all

hosts = st.from_regex(r"[a-z0-9-]{1,10}(\.[a-z]{2,5}){1,2}", fullmatch=True)
pieces = st.text("SECRET%20@:!;=&", min_size=1, max_size=10)


@given(hosts, pieces, pieces, pieces, st.sampled_from(["", ":8080"]))
def test_user_query_fragment_and_path_are_gone(host, user, path, query, port):
    fragment = user[::-1]
    url = f"https://{user}@{host}{port}/{path}?{query}#{fragment}"

    assert treat_all(Url(), url) == [f"https://{host}{port}"]
    assert treat_all(Url(keep_path=True), url) == [f"https://{host}{port}/{path}"]
    assert urlsplit(url).hostname == host


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://bob:p@ss@example.com/u/bob?id=7#top", "https://example.com"),
        ("HTTP://[::1]:80/x", "HTTP://[::1]:80"),
        ("ftp://h", "ftp://h"),
        ("https://h?a\nb", "https://h"),
        ("example.com/u/bob", "[redacted]"),
        ("mailto:bob@example.com", "[redacted]"),
        ("https://a\\@b.com/", "[redacted]"),
        ("https:///etc/passwd", "[redacted]"),
        ("bob https://example.com", "[redacted]"),
        ("https://exa mple.com", "[redacted]"),
        ("https://example.com\n/bob", "[redacted]"),
        ("", "[redacted]"),
        (None, None),
    ],
)
def test_examples(url, expected):
    assert treat_all(Url(), url) == [expected]


@given(text_columns)
def test_other_text_is_never_shown(column):
    for before, after in zip(column.to_pylist(), treat(Url(), column).to_pylist(), strict=True):
        assert (before is None) == (after is None)
        assert after is None or after == "[redacted]" or "://" in before


def test_says_whether_the_path_is_kept():
    assert "path" in Url(keep_path=True).leak()
    assert "path" not in Url().leak()
    assert Url(on_invalid="null").makes_null()
    assert treat_all(Url(on_invalid="null"), "x") == [None]
