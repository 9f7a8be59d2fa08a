"""Long JSON is parsed in pieces, and comes out as it would at once."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import piecemeal

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.fixture(autouse=True)
def everything_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piecemeal, "_LONG", 0)


@given(value=JSON, indent=st.sampled_from([None, 0, 2]))
def test_any_value_comes_out_as_it_went_in(value: Any, indent: int | None) -> None:
    assert piecemeal.loads(json.dumps(value, indent=indent)) == value


@given(value=JSON, cut=st.integers(1, 10))
def test_a_text_that_is_cut_off_is_an_error_wherever_json_says_so(value: Any, cut: int) -> None:
    text = json.dumps({"result": {"list": [value, value]}})[:-cut]
    with pytest.raises(ValueError):  # noqa: PT011 - ccxt catches exactly this
        piecemeal.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "{",
        '{"a"}',
        '{"a":}',
        '{"a":1,}',
        '{"a":1 "b":2}',
        "{1:2}",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1]]",
        "{} x",
        '{"a":[1}',
        "<html></html>",
    ],
)
def test_what_is_not_json_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - ccxt catches exactly this
        piecemeal.loads(text)


def test_a_key_that_comes_twice_counts_as_json_counts_it() -> None:
    assert piecemeal.loads('{"a": 1, "a": 2}') == json.loads('{"a": 1, "a": 2}')
