import json

import pytest

from daemon.entry import BadEntry
from daemon.importing import MOST, rows_of

HEAD = "client,exchange,api_key,api_secret,passphrase,label,is_testnet\n"
SECRET = "canary-secret-of-a-row"


def test_csv_of_any_office_and_json_say_the_same() -> None:
    good = HEAD + 'Acme,binance,key-1,secret-1,,"desk, 2",\n'
    good += "Birch,OKX,key-2,secret-2,word,,true\n"
    texts = [
        good,
        "\ufeff" + good.replace("\n", "\r\n"),
        good.replace('"desk, 2"', "@").replace(",", ";").replace("@", '"desk, 2"'),
        json.dumps(
            [
                {"client": "Acme", "exchange": "binance", "api_key": "key-1"}
                | {"api_secret": "secret-1", "label": "desk, 2"},
                {"client": "Birch", "exchange": "OKX", "api_key": "key-2", "passphrase": "word"}
                | {"api_secret": "secret-2", "label": None, "is_testnet": True},
            ]
        ),
    ]
    texts.append(json.dumps({"keys": json.loads(texts[-1])}))
    first, *others = [rows_of(text) for text in texts]
    assert [(row.number, row.client, row.wrong) for row in first] == [
        (1, "Acme", ""),
        (2, "Birch", ""),
    ]
    assert first[0].entry is not None
    assert first[0].entry.label == "desk, 2"
    assert first[1].entry is not None
    assert (first[1].entry.is_testnet, first[0].entry.is_testnet) == (True, False)
    assert all(other == first for other in others)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"exchange": ""}, "exchange: is missing"),
        ({"api_secret": None}, "api_secret: is missing"),
        ({"api_key": "a b"}, "api_key: holds a blank"),
        ({"api_key": 7}, "api_key: is not text"),
        ({"api_key": "\x00"}, "api_key: holds"),
        ({"label": "<b>"}, "label: holds"),
        ({"is_testnet": "perhaps"}, "is_testnet: is neither"),
        ({"exchange": "binnance"}, "exchange: it is not known here; did you mean binance?"),
        ({"exchange": SECRET.replace("-", "")}, "exchange: it is not known here"),
        ({SECRET: "x"}, "row: has 1 unknown field(s)"),
        (None, "row: is not an object"),
    ],
)
def test_a_bad_row_says_what_is_wrong_and_repeats_nothing_and_spoils_no_other(
    row: dict[str, object] | None, said: str
) -> None:
    good = {"exchange": "binance", "api_key": "key", "api_secret": SECRET}
    bad = None if row is None else good | row
    first, second = rows_of(json.dumps([bad, good]))
    assert first.wrong.startswith(said)
    assert SECRET not in first.wrong
    assert SECRET.replace("-", "") not in first.wrong
    assert first.entry is None
    assert second.entry is not None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("[1", "looks like JSON and is not"),
        ('{"a": 1}', "neither a list"),
        (f"acme,binance,key,{SECRET}\n", "4 unknown column(s)"),
        ("client,exchange,api_key\n", "lacks api_secret"),
        ("exchange,api_key,api_secret,api_secret\n", "names a column twice"),
        ('exchange,api_key,api_secret\nbinance,"key,secret\n', "is not CSV"),
        ("[" + ",".join(["0"] * (MOST + 1)) + "]", "too many at once"),
    ],
)
def test_a_file_that_is_none_is_refused_whole_and_not_repeated(text: str, said: str) -> None:
    with pytest.raises(BadEntry) as caught:
        rows_of(text)
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_row_that_is_too_long_or_too_short_is_a_bad_row() -> None:
    text = "exchange,api_key,api_secret\nbinance,k,s,more\nbinance,k\nbinance,k,s\n"
    assert [row.wrong[:20] for row in rows_of(text)] == [
        "row: has more fields",
        "api_secret: is missi",
        "",
    ]


def test_a_row_does_not_print_its_secrets() -> None:
    text = f"exchange,api_key,api_secret\nbinance,{SECRET},{SECRET}\n"
    assert SECRET not in repr(rows_of(text))


def test_what_the_exchange_does_not_have_may_be_empty_or_left_out() -> None:
    row = {"client": "Acme", "exchange": "polymarket", "api_secret": "0x" + "1" * 64}
    csv = f"{HEAD}Acme,polymarket,,{row['api_secret']},,,\n"
    for text in (csv, json.dumps([row])):
        (found,) = rows_of(text)
        assert found.entry is not None, found.wrong
        assert found.entry.api_key.reveal() == ""
