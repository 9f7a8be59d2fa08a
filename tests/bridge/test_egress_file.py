"""The egress file: what it may say, and what is told of one that is wrong."""

from pathlib import Path

import ccxt.async_support as ccxt
import pytest
from yarl import URL

from bridge.egress import Egress, Rule
from bridge.egress_file import BadEgress, read
from tests.daemon.bridges.certificates import Authority

KNOWN = frozenset(ccxt.exchanges)
LOGIN = "Basic dXNlcjpwNHNzOmNhbmFyeQ=="  # user:p4ss:canary


def rules(tmp_path: Path, text: str) -> tuple[Rule, ...]:
    file = tmp_path / "egress.toml"
    file.write_text(text)
    return read(file, KNOWN).rules


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(BadEgress) as caught:
        rules(tmp_path, text)
    assert "canary" not in str(caught.value)
    return caught.value.problems


def test_a_rule_says_who_goes_which_way(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    (rule,) = rules(
        tmp_path,
        f"""
        [[egress]]
        name = "fra-1"
        account = ["vip_*", "acme"]
        exchange = "gateio"
        proxy = "http://user:p4ss%3Acanary@10.0.0.5:3128"
        local_address = "192.0.2.7"
        ca_file = "{authority.file}"
        """,
    )
    way = Egress("fra-1", URL("http://10.0.0.5:3128"), LOGIN, "192.0.2.7", authority.file)
    assert rule == Rule(way, ("vip_*", "acme"), ("gate",))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('proxy = "https://proxy.internal:8443"', "proxy.internal:8443"),
        ('local_address = "192.0.2.7"', "192.0.2.7"),
        ('local_address = "2001:db8::7"', "2001:db8::7"),
        ('proxy = "direct"', "direct"),
    ],
)
def test_a_rule_without_a_name_gets_one_that_tells_no_password(
    tmp_path: Path, text: str, name: str
) -> None:
    (rule,) = rules(tmp_path, f"[[egress]]\n{text}")
    assert rule == Rule(rule.egress)
    assert rule.egress.name == name


def test_a_login_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "login").write_text("user:p4ss:canary\n")
    (rule,) = rules(
        tmp_path,
        f'[[egress]]\nproxy = "http://10.0.0.5:3128"\ncredentials_file = "{tmp_path}/login"',
    )
    assert rule.egress.authorization == LOGIN


def test_two_rules_may_share_one_way(tmp_path: Path) -> None:
    one = '[[egress]]\naccount = "{}"\nproxy = "http://10.0.0.5:3128"\n'
    first, second = rules(tmp_path, one.format("a") + one.format("b"))
    assert first.egress == second.egress


def test_everything_that_is_wrong_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    text = """
# addresses
[[egress]]
name = "a name with blanks canary"
account = 7
exchange = "binanse"
proxy = "socks5://user:canary@10.0.0.5:1080"

[[egress]]
prxy = "http://user:canary@10.0.0.5:3128"
local_address = "canary"
ca_file = "/nowhere/canary"
credentials_file = "/nowhere/canary"
"""
    url = "expected http://HOST:PORT, https://HOST:PORT or 'direct'"
    first, second = "[[egress]] 1 (line 3): ", "[[egress]] 2 (line 9): "
    assert problems(tmp_path, text) == [
        f"{first}proxy: {url}; socks is not spoken here",
        first + "name: expected up to 31 letters, digits and . _ : -",
        first + "account: expected a text, or a list of texts",
        first + "exchange: expected one that this bridge knows, perhaps binance",
        second + "'prxy': expected proxy",
        second + "local_address: expected an IP address of this machine",
        second + "credentials_file: expected a proxy that it is for",
        second + "credentials_file: cannot be read: No such file or directory",
        second + "ca_file: expected a readable file of PEM certificates",
    ]


@pytest.mark.parametrize(
    "url",
    [
        '"http://10.0.0.5"',
        '"10.0.0.5:3128"',
        '"http://user:canary@:3128"',
        '"http://10.0.0.5:3128/canary"',
        '"http://10.0.0.5:3128?canary"',
        '"http://10.0.0.5:canary"',
        '""',
        "3128",
        '["http://10.0.0.5:3128"]',
    ],
)
def test_a_proxy_that_cannot_be_meant_is_named(tmp_path: Path, url: str) -> None:
    (problem,) = problems(tmp_path, f"[[egress]]\nproxy = {url}")
    assert problem.startswith("[[egress]] 1 (line 1): proxy: expected http://HOST:PORT")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "holds no [[egress]]"),
        ("egress = 7", "holds no [[egress]]"),
        ("[egress]\nproxy = 'direct'", "holds no [[egress]]"),
        ("[[egress]]\nproxy = 'canary", "is not TOML (at end of document)"),
        (
            "[[egress]]",
            "[[egress]] 1 (line 1): proxy: expected a URL or 'direct', or else a local_address",
        ),
        (
            "[[egress]]\nproxy='direct'\n[[egress]]\naccount='a'\nproxy='direct'",
            "[[egress]] 2 (line 3): account, exchange: never asked: a rule above is for everything",
        ),
        (
            "[[egress]]\nname='a'\naccount='a'\nproxy='direct'\n[[egress]]\nname='a'\nproxy='http://h:1'",
            "[[egress]] 2 (line 5): name: expected another: a different egress above has it",
        ),
        ("other = 1\n[[egress]]\nproxy='direct'", "'other': expected nothing but [[egress]]"),
        (
            "[[egress]]\nproxy='http://u:p@h:1'\ncredentials_file='f'",
            "[[egress]] 1 (line 1): credentials_file: expected no user in proxy beside it",
        ),
        (
            "[[egress]]\nproxy='http://u%0Ax:p@h:1'",
            "[[egress]] 1 (line 1): credentials_file: expected one line, user:password",
        ),
    ],
)
def test_each_mistake_has_words(tmp_path: Path, text: str, problem: str) -> None:
    assert problem in problems(tmp_path, text)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadEgress, match="cannot be read: No such file"):
        read(tmp_path / "none", KNOWN)
