"""A fake server for Slack and PagerDuty that can fail, stall and limit rates.

It checks requests against the documented limits, so that it refuses what Slack would refuse.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

_BLOCK_TYPES = {"header", "section", "actions", "divider", "context"}


@dataclass(frozen=True)
class ReceivedRequest:
    """A request with the status of its answer."""

    method: str
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    status: int


@dataclass
class FakeChannels:
    """The requests so far, and how the server behaves.

    ``failures`` and ``stall`` (seconds) are by the first part of the path: slack, hook or pager.
    """

    url: str = ""
    requests: list[ReceivedRequest] = field(default_factory=list)
    failures: dict[str, list[tuple[int, Mapping[str, str], str]]] = field(default_factory=dict)
    stall: dict[str, float] = field(default_factory=dict)
    refuse_blocks: bool = False
    number: int = 0

    @property
    def slack_api_url(self) -> str:
        """The address of Slack's API."""
        return f"{self.url}/slack/api/"

    @property
    def webhook_url(self) -> str:
        """The address of an incoming webhook."""
        return f"{self.url}/hook/services/T0/B0/hunter22"

    @property
    def pagerduty_url(self) -> str:
        """The address of PagerDuty's Events API."""
        return f"{self.url}/pager/v2/enqueue"

    def accepted(self, method: str) -> list[Mapping[str, Any]]:
        """Return the bodies of a method's successful requests."""
        return [one.body for one in self.requests if one.method == method and one.status in {200, 202}]

    def fail(
        self, where: str, status: int, times: int = 1, headers: Mapping[str, str] | None = None, body: str = ""
    ) -> None:
        """Make the next requests fail."""
        self.failures.setdefault(where, []).extend([(status, headers or {}, body)] * times)

    def answer(
        self, path: str, headers: Mapping[str, str], body: Mapping[str, Any]
    ) -> tuple[int, Mapping[str, str], str]:
        """Record a request, and return status, headers and body of its answer."""
        where, method = path.strip("/").split("/")[0], path.strip("/").rpartition("/")[2]
        name = {"slack": method, "hook": "hook", "pager": "pager"}[where]
        waiting = self.failures.get(where)
        if waiting:
            found = waiting.pop(0)
        else:
            found = {"slack": self._slack, "hook": self._hook, "pager": self._pager}[where](method, headers, body, path)
        self.requests.append(ReceivedRequest(name, body, headers, found[0] if '"ok": false' not in found[2] else 400))
        return found

    def _slack(self, method: str, headers: Mapping[str, str], body: Mapping[str, Any], path: str) -> Any:
        del path
        error = ""
        if headers.get("Authorization") != "Bearer xoxb-hunter2":
            error = "invalid_auth"
        elif "blocks" in body and (self.refuse_blocks or wrong_blocks(body["blocks"])):
            error = "invalid_blocks"
        elif not body.get("text") or len(body["text"]) > 40_000:
            error = "no_text"
        if error:
            return 200, {}, json.dumps({"ok": False, "error": error})
        self.number += 1
        ts = body.get("ts") or f"1700000000.{self.number:06}"
        channel = body["channel"] if body["channel"].startswith("C") else "C" + body["channel"].strip("#").upper()
        return 200, {}, json.dumps({"ok": True, "ts": ts, "channel": channel, "method": method})

    def _hook(self, method: str, headers: Mapping[str, str], body: Mapping[str, Any], path: str) -> Any:
        del method, headers, path
        if "blocks" in body and (self.refuse_blocks or wrong_blocks(body["blocks"])):
            return 400, {}, "invalid_blocks"
        return (200, {}, "ok") if body.get("text") else (400, {}, "no_text")

    def _pager(self, method: str, headers: Mapping[str, str], body: Mapping[str, Any], path: str) -> Any:
        del method, headers
        payload = body.get("payload", {})
        is_valid = (
            path == "/pager/v2/enqueue"
            and body.get("routing_key") == "hunter2-key"
            and body.get("event_action") in {"trigger", "resolve"}
            and 0 < len(body.get("dedup_key", "")) <= 255
            and 0 < len(payload.get("summary", "")) <= 1024
            and payload.get("severity") in {"critical", "error", "warning", "info"}
            and payload.get("source")
        )
        if not is_valid:
            return 400, {}, json.dumps({"status": "invalid event"})
        return 202, {}, json.dumps({"status": "success", "dedup_key": body["dedup_key"]})


def wrong_blocks(blocks: Any) -> list[str]:
    """Return the limits of Slack that a list of blocks violates."""
    wrong = [] if 0 < len(blocks) <= 50 else ["number of blocks"]
    for block in blocks:
        texts = [*([block["text"]] if "text" in block else []), *block.get("fields", [])]
        longest = 150 if block["type"] == "header" else 3_000
        wrong += ["type"] if block["type"] not in _BLOCK_TYPES else []
        wrong += ["header"] if block["type"] == "header" and block["text"]["type"] != "plain_text" else []
        wrong += ["text"] if any(not 0 < len(one["text"]) <= longest for one in texts) else []
        wrong += ["fields"] if len(block.get("fields", [])) > 10 else []
        wrong += ["field"] if any(len(one["text"]) > 2_000 for one in block.get("fields", [])) else []
        wrong += ["code"] if any(one["text"].count("```") % 2 for one in texts) else []
        wrong += ["url"] if any(len(one.get("url", "")) > 3_000 for one in block.get("elements", [])) else []
    return wrong


@contextmanager
def open_fake_channels() -> Iterator[FakeChannels]:
    """Run the server on a free port."""
    fake_channels = FakeChannels()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
            if "json" in self.headers.get("Content-Type", ""):
                body = json.loads(content)
            else:
                body = {key: values[0] for key, values in parse_qs(content).items()}
                if "blocks" in body:
                    body["blocks"] = json.loads(body["blocks"])
            time.sleep(fake_channels.stall.get(self.path.strip("/").split("/")[0], 0.0))
            status, headers, answer = fake_channels.answer(self.path, dict(self.headers), body)
            try:
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.encode())
            except OSError:
                return  # the client closed the connection

        def log_message(self, *arguments: Any) -> None:
            del arguments

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake_channels.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield fake_channels
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
