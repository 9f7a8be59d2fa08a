from bridge import catalogue
from reconciler import slots


def test_daemon_and_bridge_know_an_exchange_by_the_same_names() -> None:
    assert slots.ALIASES == catalogue.ALIASES


def test_they_read_every_way_of_writing_a_name_alike() -> None:
    for alias in slots.ALIASES:
        for written in (alias, alias.upper(), f" {alias} ", *_split(alias)):
            assert slots.canonical(written) == catalogue.canonical(written)


def _split(alias: str) -> list[str]:
    return [f"{alias[:-2]}{separator}{alias[-2:]}" for separator in "_-. "]
