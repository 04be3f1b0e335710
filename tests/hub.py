"""A hub of models on this machine that answers as Hugging Face does, as far as a download asks."""

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hub(ThreadingHTTPServer):
    """Models by id: the commit of each revision, and the files of each commit; ``gated`` ones ask for consent.

    ``asked`` has the paths of all requests.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.revisions: dict[str, dict[str, str]] = {}
        self.files: dict[str, dict[str, bytes]] = {}
        self.gated: set[str] = set()
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def commit(self, model: str, files: dict[str, bytes], revision: str = "main") -> str:
        """Add a commit, let the revision point to it, and return its hash."""
        commit = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        self.files[commit] = files
        self.revisions.setdefault(model, {})[revision] = commit
        return commit


@contextlib.contextmanager
def serving_models() -> Iterator[Hub]:
    with Hub() as hub:
        threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield hub
        finally:
            hub.shutdown()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append(self.path)
        path = self.path.partition("?")[0]
        if match := re.fullmatch(r"/api/models/(.+?)/(revision|tree)/(.+)", path):
            self._about(*match.groups())
        elif match := re.fullmatch(r"/(.+?)/resolve/(\w+)/(.+)", path):
            self._file(*match.groups())
        else:
            self._answer(404)

    do_HEAD = do_GET

    def _about(self, model: str, what: str, revision: str):
        commit = self._commit(model, revision)
        if commit and what == "revision":
            self._answer(200, json.dumps({"id": model, "sha": commit, "tags": []}).encode())
        elif commit:
            listed = [
                {"type": "file", "path": name, "size": len(content), "oid": _digest(content)}
                for name, content in self.server.files[commit].items()
            ]
            self._answer(200, json.dumps(listed).encode())

    def _file(self, model: str, revision: str, name: str):
        if commit := self._commit(model, revision):
            content = self.server.files[commit][name]
            self._answer(200, content, X_Repo_Commit=commit, ETag=f'"{_digest(content)}"')

    def _commit(self, model: str, revision: str) -> str | None:
        """Return the commit of a revision; if there is none, answer so."""
        known = self.server.revisions.get(model)
        if known is None:
            self._answer(404, X_Error_Code="RepoNotFound")
        elif model in self.server.gated:
            self._answer(403, X_Error_Code="GatedRepo")
        elif revision not in (*known, *known.values(), *self.server.files):
            self._answer(404, X_Error_Code="RevisionNotFound")
        else:
            return known.get(revision, revision)

    def _answer(self, code: int, body: bytes = b"", **headers):
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format, *arguments):
        pass


def _digest(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()
