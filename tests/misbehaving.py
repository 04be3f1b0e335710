"""A real HTTP server on this machine that answers as it is told to, well or badly."""

import contextlib
import hashlib
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """Serves a file at each path of ``files``; what stands in ``turns`` answers the next requests instead, in order.

    ``asked`` has the path and the headers of every request.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, context: ssl.SSLContext | None = None):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.turns: list[Callable] = []
        self.asked: list[tuple[str, dict]] = []
        self.released = threading.Event()  # ends what hangs
        self.hanging = threading.Event()
        self.scheme = "https" if context else "http"
        if context:
            self.socket = context.wrap_socket(self.socket, server_side=True)

    def url(self, path: str = "/corpus.zip") -> str:
        host = "localhost" if self.scheme == "https" else "127.0.0.1"
        return f"{self.scheme}://{host}:{self.server_address[1]}{path}"

    def handle_error(self, request, client_address):
        pass  # a client that hangs up is what is tested


@contextlib.contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[Server]:
    with Server(context) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append((self.path, dict(self.headers)))
        if self.server.turns:
            self.server.turns.pop(0)(self)
        elif (path := self.path.partition("?")[0]) in self.server.files:
            whole()(self, self.server.files[path])
        else:
            status(404)(self)

    def log_message(self, format, *arguments):
        pass

    def content(self) -> bytes:
        return self.server.files[self.path.partition("?")[0]]

    def head(self, code, **headers):
        self.send_response(code)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()


def tag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:16]}"'


def whole(
    *, sent: int | None = None, ranges: bool = True, validator: bool = True, hang: bool = False, length: bool = True
):
    """Answer as a good server does, ranges and If-Range heeded; stop after ``sent`` bytes, or hang there."""

    def answer(handler, content=None):
        content = handler.content() if content is None else content
        start, code = 0, 200
        asked, condition = handler.headers.get("Range"), handler.headers.get("If-Range")
        if ranges and asked and condition in (None, tag(content)):
            start, code = int(asked.removeprefix("bytes=").rstrip("-")), 206
        if start >= len(content) > 0 and code == 206:
            handler.head(416, Content_Range=f"bytes */{len(content)}", Content_Length=0)
            return
        handler.head(
            code,
            ETag=tag(content) if validator else None,
            Content_Length=len(content) - start if length else None,
            Content_Range=f"bytes {start}-{len(content) - 1}/{len(content)}" if code == 206 else None,
            Content_Type="application/zip",
        )
        handler.wfile.write(content[start : None if sent is None else start + sent])
        handler.wfile.flush()
        if hang:
            handler.server.hanging.set()
            handler.server.released.wait(60)

    return answer


def status(code: int, body: bytes = b"", **headers):
    def answer(handler):
        handler.head(code, **({"Content_Length": len(body)} | headers))
        handler.wfile.write(body)

    return answer
