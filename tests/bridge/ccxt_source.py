"""Reads ccxt's source: what an exchange's code writes into while it reads a balance."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

Method = ast.FunctionDef | ast.AsyncFunctionDef
ASKED = ("fetch_balance", "request", "sign", "handle_errors", "throttle", "nonce")
# They run on the template alone, or only for what this bridge never does.
APART = {"load_markets", "load_markets_helper", "get_socks_proxy_session", "add_fetch_cache"}
_MUTATORS = {"append", "clear", "extend", "insert", "pop", "popitem", "remove"} | {
    "reverse",
    "setdefault",
    "sort",
    "update",
}


def written(kind: type) -> set[str]:
    """Return the attributes into which a balance's reading writes, options' own level aside."""
    found = (write for method in _reached(kind) for write in _writes(method))
    return {name for name, depth in found if depth > (name == "options")}


def _reached(kind: type) -> Iterator[Method]:
    methods: dict[str, list[Method]] = {}
    for each in kind.__mro__[:-1]:
        for name, method in _methods(each.__module__, each.__name__).items():
            methods.setdefault(name, []).append(method)
    done, to_do = set(APART), list(ASKED)
    while to_do:
        if (name := to_do.pop()) not in done:
            done.add(name)
            for method in methods.get(name, ()):
                yield method
                to_do += _named(method)


@cache
def _methods(module: str, kind: str) -> dict[str, Method]:
    return {
        method.name: method
        for each in _tree(module).body
        if isinstance(each, ast.ClassDef) and each.name == kind
        for method in each.body
        if isinstance(method, Method)
    }


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(Path(str(sys.modules[module].__file__)).read_text())


@cache
def _named(method: Method) -> list[str]:
    """Return every attribute of self or of super() that *method* names."""
    return [
        node.attr
        for node in ast.walk(method)
        if isinstance(node, ast.Attribute) and _is_self(node.value)
    ]


def _is_self(node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "super"
    return isinstance(node, ast.Name) and node.id == "self"


@cache
def _writes(method: Method) -> list[tuple[str, int]]:
    """Return (attribute, depth) of each write into one: self.a["b"] = c has depth 1."""
    found = (_rooted(into) for node in ast.walk(method) for into in _into(node))
    return [each for each in found if each is not None]


def _into(node: ast.AST) -> Iterator[tuple[ast.expr, int]]:
    match node:
        case ast.Assign(targets=targets) | ast.Delete(targets=targets):
            yield from ((target, 0) for target in targets if isinstance(target, ast.Subscript))
        case ast.AugAssign(target=ast.Subscript() as target):
            yield target, 0
        case ast.Call(func=ast.Attribute(attr=name, value=value)) if name in _MUTATORS:
            yield value, 1
        case _:
            pass


def _rooted(into: tuple[ast.expr, int]) -> tuple[str, int] | None:
    node, depth = into
    while isinstance(node, ast.Subscript):
        node, depth = node.value, depth + 1
    if isinstance(node, ast.Attribute) and _is_self(node.value) and depth:
        return node.attr, depth
    return None
