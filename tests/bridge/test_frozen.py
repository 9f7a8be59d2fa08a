"""What accounts share can be read like ccxt's own dicts and lists, and written to by nobody."""

import copy
import json
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from bridge.frozen import FrozenDict, FrozenList, ReadOnly, Thrift, empty, freeze, thaw

WRITES_TO_DICTS: list[Callable[[Any], Any]] = [
    lambda d: d.__setitem__("a", 2),
    lambda d: d.__delitem__("a"),
    lambda d: d.__ior__({"a": 2}),
    lambda d: d.clear(),
    lambda d: d.pop("a"),
    lambda d: d.popitem(),
    lambda d: d.setdefault("b", 2),
    lambda d: d.update(a=2),
]
WRITES_TO_LISTS: list[Callable[[Any], Any]] = [
    lambda x: x.__setitem__(0, 2),
    lambda x: x.__setitem__(slice(0, 1), [2]),
    lambda x: x.__delitem__(0),
    lambda x: x.__iadd__([2]),
    lambda x: x.__imul__(2),
    lambda x: x.append(2),
    lambda x: x.clear(),
    lambda x: x.extend([2]),
    lambda x: x.insert(0, 2),
    lambda x: x.pop(),
    lambda x: x.remove(1),
    lambda x: x.reverse(),
    lambda x: x.sort(),
]


@pytest.mark.parametrize("write", WRITES_TO_DICTS)
def test_no_write_to_a_frozen_dict_comes_through(write: Callable[[Any], Any]) -> None:
    frozen = freeze({"a": 1})
    with pytest.raises(ReadOnly):
        write(frozen)
    assert frozen == {"a": 1}


@pytest.mark.parametrize("write", WRITES_TO_LISTS)
def test_no_write_to_a_frozen_list_comes_through(write: Callable[[Any], Any]) -> None:
    frozen = freeze([1])
    with pytest.raises(ReadOnly):
        write(frozen)
    assert frozen == [1]


def test_every_way_to_write_to_a_dict_or_a_list_is_known_here() -> None:
    reads = {"copy", "get", "items", "keys", "values", "fromkeys", "count", "index"}
    for kind, plain in ((FrozenDict, dict), (FrozenList, list)):
        inherited = {name for name in vars(plain) if getattr(kind, name) is getattr(plain, name)}
        public = {name for name in inherited if not name.startswith("_")}
        assert public - reads == set()
        assert not inherited & {"__setitem__", "__delitem__", "__ior__", "__iadd__", "__imul__"}


def test_what_is_deep_inside_is_frozen_too() -> None:
    frozen = freeze({"a": [{"b": {"c": deque([{"d": 1}])}}], "t": ({"e": 1},), "s": {1}})
    with pytest.raises(ReadOnly):
        frozen["a"][0]["b"]["c"][0]["d"] = 2
    with pytest.raises(ReadOnly):
        frozen["t"][0]["e"] = 2
    assert isinstance(frozen["s"], frozenset)


def test_a_frozen_value_reads_like_the_value() -> None:
    value = {"a": [1, {"b": None}], "c": {"d": 0.5}, "e": "text", "f": True}
    frozen = freeze(value)
    assert frozen == value
    assert list(frozen) == list(value)
    assert isinstance(frozen, dict)
    assert isinstance(frozen["a"], list)
    assert json.dumps(frozen) == json.dumps(value)
    assert {**frozen, "x": 1}["x"] == 1


@pytest.mark.parametrize("thawed", [thaw, copy.deepcopy])
def test_a_copy_may_be_written_to_all_through(thawed: Callable[[Any], Any]) -> None:
    frozen = freeze({"a": [{"b": 1}]})
    mine = thawed(frozen)
    mine["a"][0]["b"] = 2
    mine["a"].append(3)
    assert mine == {"a": [{"b": 2}, 3]}
    assert frozen == {"a": [{"b": 1}]}


def test_a_shallow_copy_may_be_written_to_at_its_top() -> None:
    frozen = freeze({"a": [1]})
    for mine in (frozen.copy(), copy.copy(frozen), frozen | {}):
        mine["b"] = 2
    for ours in (frozen["a"].copy(), copy.copy(frozen["a"]), frozen["a"][:]):
        ours.append(2)
    assert frozen == {"a": [1]}


def test_equal_parts_are_kept_once_and_unequal_ones_apart() -> None:
    spare = Thrift()
    frozen = spare([{"min": None, "max": [1]}, {"min": None, "max": [1]}, {"min": None}])
    assert frozen[0] is frozen[1]
    kinds = spare([[1], [1.0], [True], [-0.0], [0.0], ["1"]])
    assert [repr(each[0]) for each in kinds] == ["1", "1.0", "True", "-0.0", "0.0", "'1'"]
    assert list(spare([{"a": 1, "b": 2}, {"b": 2, "a": 1}])[1]) == ["b", "a"]
    assert frozen == [{"min": None, "max": [1]}, {"min": None, "max": [1]}, {"min": None}]


def test_what_is_emptied_leaves_what_was_made_of_it_alone() -> None:
    spare, market = Thrift(), {"id": "BTC", "limits": {"min": [1, 2]}}
    stock = {"markets": [market], "by_id": {"BTC": market}}
    frozen = spare(stock)
    for large in (stock["markets"], stock["by_id"], spare.kept, None):
        empty(large)
    assert stock == {"markets": [], "by_id": {}}
    assert not spare.kept
    assert frozen["markets"] == [market]


def test_thrift_freezes_too() -> None:
    frozen = Thrift()({"a": [{"b": 1}], "c": ({"d": 1},)})
    for write in (frozen.clear, frozen["a"].clear, frozen["a"][0].clear, frozen["c"][0].clear):
        with pytest.raises(ReadOnly):
            write()
