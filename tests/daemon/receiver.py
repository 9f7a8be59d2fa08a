"""A webhook's receiver: a real HTTP server that keeps what it is sent and answers as it is told."""

import base64
import hashlib
import hmac
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Barrier, Thread
from typing import Any


@dataclass(frozen=True)
class Message:
    headers: dict[str, str]
    said: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def type(self) -> str:
        return str(self.content["type"])

    @property
    def content(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.said)
        return content

    def is_signed_with(self, key: bytes) -> bool:
        """Check it as the receiver's own program would, which has none of our code."""
        signed = f"{self.id}.{self.headers['webhook-timestamp']}.".encode() + self.said
        mac = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        return self.headers["webhook-signature"] == f"v1,{mac}"


@dataclass
class Receiver:
    url: str = ""
    status: int = 200
    statuses: dict[str, int] = field(default_factory=dict)
    """What it answers to messages about single keys, by their ids."""
    headers: dict[str, str] = field(default_factory=dict)
    crowd: Barrier | None = None
    """How many have to be there at once before one is answered."""
    connections: int = 0
    got: list[Message] = field(default_factory=list)

    @property
    def types(self) -> list[str]:
        return [message.type for message in self.got]

    def about(self, key: object) -> list[Message]:
        return [message for message in self.got if message.content["data"]["key_id"] == str(key)]

    def answer_to(self, message: Message) -> int:
        return self.statuses.get(message.content["data"]["key_id"], self.status)


@contextmanager
def receiving(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            receiver.connections += 1

        def do_POST(self) -> None:
            said = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            message = Message(headers, said)
            receiver.got.append(message)
            if receiver.crowd:
                receiver.crowd.wait(10)
            self.send_response(receiver.answer_to(message))
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        receiver.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}/hook"
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
