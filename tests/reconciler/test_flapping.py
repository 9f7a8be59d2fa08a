from reconciler.flapping import Flapping


def said(*boots: str | None, returned: int = 0, pause: float = 30.0) -> str:
    flapping = Flapping()
    words = ""
    for number, boot in enumerate(boots):
        words = flapping.listed(boot, returned, pause * number)
    return words


def test_a_bridge_that_stays_the_same_or_restarts_now_and_then_is_well() -> None:
    assert said(*"aaaaaaa") == ""
    assert said(*"aabbbcc") == ""
    assert said(*"abcdefg", pause=400) == ""


def test_many_restarts_are_named_with_their_number() -> None:
    assert said(*"abcd") == "flapping: it restarted 3 times within 10 minutes"


def test_a_boot_id_of_before_that_returns_is_another_process() -> None:
    assert said(*"aba").startswith("flapping: several processes answer")


def test_it_is_forgotten_after_a_while() -> None:
    flapping = Flapping()
    for at, boot in enumerate("abab"):
        flapping.listed(boot, 0, at)
    assert flapping.listed("b", 0, 700) == ""


def test_connectors_that_vanish_and_return_by_themselves_are_named() -> None:
    assert said(None, None, returned=1) == ""
    assert "return by themselves" in said(None, None, None, returned=1)
