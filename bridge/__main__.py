"""`python -m bridge`: the Trading Bridge as a process."""

import argparse
import ipaddress
import resource
import signal
from pathlib import Path
from socket import socket
from typing import Any, NamedTuple

from bridge.collector import COLLECTOR
from bridge.exposed import warn_of_exposed
from bridge.identity import Identity
from bridge.logs import configure


class Token(NamedTuple):
    file: Path
    text: str


def main(arguments: list[str] | None = None) -> None:
    """Serve until told to stop."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # unheard, it would end us and all connectors
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold credentials
    parser = options()
    asked = parser.parse_args(arguments)
    if objection := _unsafe(asked):
        parser.error(objection)
    tls = _tls(parser, asked)
    configure(asked.log_level)
    # Late: ccxt takes seconds to import, and --help or a wrong option should not wait for it.
    from bridge.app import Settings, create_app  # noqa: PLC0415
    from bridge.egress import NO_RULES  # noqa: PLC0415
    from bridge.serve import run  # noqa: PLC0415

    rules = _rules(parser, asked.egress) if asked.egress else NO_RULES
    token: Token | None = asked.token_file
    warn_of_exposed(filter(None, (token and token.file, asked.tls_key, *rules.secret_files)))
    settings = Settings(
        token=token and token.text,
        exchange_origin=asked.exchange_origin,
        paced=asked.paced or None,
        egress=rules,
        certificate_expires=None if tls is None else lambda: tls.expires,
    )
    app = create_app(settings)
    bound, address = _bound(parser, asked)
    COLLECTOR.freeze()  # ccxt's 200,000 objects among them
    run(app, bound, address, asked.grace, tls)


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m bridge", description=__doc__)
    parser.add_argument("--uds", type=Path, metavar="PATH", help="listen on this unix socket")
    parser.add_argument(
        "--host", default="127.0.0.1", help="the address to listen at, if not on a unix socket"
    )
    parser.add_argument("--port", type=int, default=8700, help="0: any free one")
    parser.add_argument("--token-file", type=_token, metavar="FILE", help="bearer token to ask for")
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="PEM, with its chain")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="PEM, without passphrase")
    parser.add_argument(
        "--insecure", action="store_true", help="listen anywhere without TLS or token"
    )
    parser.add_argument(
        "--exchange-origin", metavar="URL", help="send all that is for exchanges here instead"
    )
    parser.add_argument(
        "--paced", action="store_true", help="keep to the exchanges' rates before a stand-in, too"
    )
    parser.add_argument(
        "--egress", type=Path, metavar="FILE", help="TOML: by which proxy or address which ask"
    )
    parser.add_argument(
        "--grace", type=float, default=7, metavar="SECONDS", help="for running calls, at the end"
    )
    parser.add_argument(
        "--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING"], help="the least told"
    )
    return parser


def _unsafe(asked: argparse.Namespace) -> str | None:
    """Say why not to listen like that: whoever comes near could use every key, or read them."""
    local = asked.uds is not None or _is_loopback(asked.host)
    if local or asked.insecure or (asked.token_file and asked.tls_cert):
        return None
    needs = "--tls-cert, --tls-key and --token-file"
    return f"argument --host: {asked.host} is beyond this machine: say {needs}, or --insecure"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _tls(parser: argparse.ArgumentParser, asked: argparse.Namespace) -> Identity | None:
    """Return certificate and key, tried out, or name what is wrong and end."""
    if asked.tls_cert is None and asked.tls_key is None:
        return None
    if asked.tls_cert is None or asked.tls_key is None or asked.uds is not None:
        parser.error("arguments --tls-cert, --tls-key: expected both, and no --uds")
    try:
        return Identity(asked.tls_cert, asked.tls_key)
    except (OSError, ValueError):
        parser.error("arguments --tls-cert, --tls-key: expected a certificate and its key as PEM")


def _bound(parser: argparse.ArgumentParser, asked: argparse.Namespace) -> tuple[socket, str]:
    """Return the socket to listen on and its address, or name what is in the way and end."""
    from bridge.serve import bind, bind_unix  # noqa: PLC0415 - see main

    where = f"--uds: {asked.uds}" if asked.uds else f"--port: {asked.host}:{asked.port}"
    try:
        return bind_unix(asked.uds) if asked.uds else bind(asked.host, asked.port)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        parser.error(f"argument {where} cannot be used ({why}); choose another")


def _rules(parser: argparse.ArgumentParser, path: Path) -> Any:
    """Read the rules, or name everything that is wrong with them and end."""
    from ccxt.async_support import exchanges  # noqa: PLC0415 - see main

    from bridge.egress_file import BadEgress, read  # noqa: PLC0415

    try:
        return read(path, exchanges)
    except BadEgress as bad:
        told = "".join(f"\n  {problem}" for problem in bad.problems)
        parser.error(f"argument --egress: {path}:{told}")


def _token(path: str) -> Token:
    """Read a token, so that argparse names the option when that fails."""
    try:
        token = Path(path).read_text().strip()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot read {path}: {error.strerror}") from error
    if not token:
        raise argparse.ArgumentTypeError(f"{path} holds no token")
    return Token(Path(path), token)


if __name__ == "__main__":
    main()
