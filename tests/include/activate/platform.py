"""A platform that listens on this machine: keeps what it is sent, knows requests by their keys, and fails to order."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "a-very-secret-token"


@dataclass
class Platform:
    """`failures` are answered before anything is taken: a status, or seconds of silence."""

    address: str = ""
    failures: list[int | float] = field(default_factory=list)
    unreadable: int = 0
    held: dict[str, set[str]] = field(default_factory=dict)
    requests: list[tuple[str, str, dict]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    taken: dict[str, int] = field(default_factory=dict)

    def connection(self) -> str:
        """The platform as an Airflow connection."""
        return json.dumps({"conn_type": "http", "host": self.address, "password": TOKEN})

    def take(self, body: dict) -> None:
        """Rows as the generic format of JSON sends them."""
        rows = {json.dumps(row, sort_keys=True) for row in body["rows"]}
        held = self.held.setdefault(body["audience"], set())
        self.held[body["audience"]] = held | rows if body["action"] == "add" else held - rows

    def mails(self, audience: str = "loyal") -> list[str]:
        return sorted(json.loads(row)["mail"] for row in self.held.get(audience, ()))


@contextmanager
def listening() -> Iterator[Platform]:
    platform = Platform()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if platform.failures:
                failure = platform.failures.pop(0)
                if isinstance(failure, float):
                    time.sleep(failure)
                    return
                self.reply(failure, {"error": f"no, {self.headers['Authorization']} sent ann@example.com"})
                return
            key = self.headers["Idempotency-Key"]
            platform.taken[key] = platform.taken.get(key, 0) + 1
            platform.requests.append((self.command, self.path, body))
            platform.headers.append(dict(self.headers))
            if platform.taken[key] == 1 and "rows" in body:
                platform.take(body)
            self.reply(200, {"refused": platform.unreadable, "num_invalid_entries": platform.unreadable})

        do_POST = do_DELETE = answer  # noqa: N815

        def reply(self, status: int, said: dict) -> None:
            content = json.dumps(said).encode()
            self.send_response(status)
            if status == 429:
                self.send_header("Retry-After", "0")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    platform.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield platform
    finally:
        server.shutdown()
        server.server_close()
