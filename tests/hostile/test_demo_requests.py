"""Requests to the running demo that no browser would send, and clients that are slow, many or gone."""

import os
import threading
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from demo_server import BEGUN, LOOPBACK, Demo, file_data, join, recording
from serflow.bundle.demo.guard import LARGEST_UPLOAD, check_upload
from serflow.bundle.demo.page import build_page
from serflow.bundle.reader import open_bundle
from tiny_bundle import CARD, write_bundle

REFUSED = (403, "The page does not send this.")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("bundle") / "tiny.zip")


@pytest.fixture(scope="module")
def running(bundle, tmp_path_factory):
    demo = Demo(bundle, tmp_path_factory.mktemp("demo"), "--port", "0")
    demo.address()
    yield demo
    assert demo.end() == ("serflow demo: ended\n", "") and not list(demo.temporary.iterdir())


@pytest.fixture(scope="module")
def uploads(running):
    """The folder of uploads."""
    (folder,) = running.temporary.glob("serflow-demo-*")
    return folder


@pytest.fixture(scope="module")
def private(tmp_path_factory, uploads):
    """Paths that a client may not name, by what they are."""
    folder = tmp_path_factory.mktemp("private")
    (folder / "private.wav").write_bytes(recording())
    os.mkfifo(folder / "fifo.wav")
    (folder / "closed").mkdir(mode=0)
    (uploads / "link.wav").symlink_to(folder / "private.wav")
    (uploads / "folder").symlink_to(folder)
    os.mkfifo(uploads / "fifo.wav")
    there = str(folder / "private.wav")
    return {
        "present": there,
        "missing": str(folder / "none.wav"),
        "closed": str(folder / "closed/x.wav"),
        "climbing": f"{uploads}/../../../{there}",
        "climbing_from_cwd": os.path.relpath(there),
        "home": "~/private.wav",
        "fifo": str(folder / "fifo.wav"),
        "fifo_in_uploads": str(uploads / "fifo.wav"),
        "link": str(uploads / "link.wav"),
        "linked_folder": str(uploads / "folder/private.wav"),
        "device": "/dev/zero",
        "stdin": "/dev/stdin",
        "process": "/proc/self/environ",
        "folder": str(folder),
        "uploads": str(uploads),
        "uploads_missing": str(uploads / "none.wav"),
        "neighbour": f"{uploads}x/private.wav",
        "file_url": f"file://{there}",
        "file_url_of_host": f"file://localhost{there}",
        "http": "http://127.0.0.1:9/private.wav",
        "https": "https://example.com/private.wav",
        "ftp": "ftp://example.com/private.wav",
        "data": "data:audio/wav;base64,UklGRg==",
        "empty": "",
        "zero_byte": f"{there}\0",
        "surrogate": "/\ud800.wav",
        "long": "/" + "x" * 5000,
        "deep": "/x" * 5000,
        "number": 3,
        "list": [there],
        "nothing": None,
    }


def test_paths_that_were_not_uploaded_are_refused_alike(running, private):
    before = running.files()
    for kind, path in private.items():
        for more in ({}, {"url": "http://127.0.0.1:9/x.wav"}, {"is_stream": True}, {"url": path, "orig_name": "x.wav"}):
            assert running.ask("gradio_api/queue/join", join(file_data(path, **more))) == REFUSED, kind
        for nested in ({"value": file_data(path)}, [[file_data(path)]]):
            assert running.ask("gradio_api/queue/join", join(nested)) == REFUSED, kind
        for route in (
            "run/0",
            "api/label",
            "call/label",
            "call/v2/label",
            "stream/x",
            "component_server",
            "queue/join/",
        ):
            assert running.ask(f"gradio_api/{route}", join(file_data(path))) == REFUSED, kind
        for route in ("file=", "file/", "proxy="):
            address = urllib.parse.quote(str(path), errors="surrogatepass")
            assert running.ask(f"gradio_api/{route}{address}") == REFUSED, kind
    assert running.files() == before
    # Nothing was fetched.
    assert not [address for address in running.asked.read_text().split() if not LOOPBACK.fullmatch(address)]


def test_the_labelling_itself_refuses_them_too(bundle, private, uploads):
    label = build_page(open_bundle(bundle), uploads).fns[0].fn
    assert label(None) == label("") == ""
    for path in filter(None, private.values()):
        with pytest.raises((ValueError, OSError, TypeError)):
            label(path)


def test_an_url_beside_an_upload_is_not_fetched(running):
    _, path = running.upload("mine.wav", recording())
    before = running.files()
    status, text = running.label(file_data(path, url="https://example.com/other.wav"), "beside")
    assert status == 200 and "Confidence" in text and "mine.wav" in text and running.files() == before
    assert not [address for address in running.asked.read_text().split() if not LOOPBACK.fullmatch(address)]


@pytest.mark.parametrize(
    "body",
    [b"", b"no json", b"[" * 100_000, b'{"data":' * 20_000, b'{"path":' + b"9" * 5000 + b"}", b"\xff\xfe", b'{"a":1}x'],
)
def test_what_is_no_message_of_the_page(running, body):
    assert running.ask("gradio_api/queue/join", body or b" ") == REFUSED


def test_one_page_does_not_serve_another_site(running):
    host = running.at.split("/")[2]
    port = host.split(":")[1]
    for name in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "10.0.0.1", "", "localhost.", "::1"):
        assert running.ask("", Host=name)[0] == 400
    for name in (host, f"localhost:{port}", f"LOCALHOST:{port}", "[::1]", "localhost:9"):
        assert running.ask("", Host=name)[0] == 200
    before = running.files()
    for origin in ("http://evil.example", "null", "", f"http://evil.example:{port}", "http://127.0.0.1", "file://"):
        assert running.upload("x.wav", recording(), Origin=origin) == REFUSED
        assert running.ask("", Origin=origin) == REFUSED
    assert running.files() == before
    assert running.upload("other.wav", recording(), Origin=f"http://{host}")[0] == 200


def test_what_is_too_large(running):
    before = running.files()
    status, text = running.upload("large.wav", bytes(LARGEST_UPLOAD + 1))
    assert status == 413 and "maximum" in text and running.files() == before
    for path, length in (
        ("upload", LARGEST_UPLOAD + (2 << 20)),
        ("queue/join", 2 << 20),
        ("process_recording", 2 << 20),
    ):
        with running.connect() as client:
            client.sendall(running.head(path, length))
            assert client.recv(100).startswith(b"HTTP/1.1 403")
    for length in ("Transfer-Encoding: chunked", "X-None: 0"):
        with running.connect() as client:
            client.sendall(running.head("upload", 9).replace(b"Content-Length: 9", length.encode()))
            assert client.recv(100).startswith(b"HTTP/1.1 403")
    status, path = running.upload("largest.wav", bytes(LARGEST_UPLOAD))
    assert status == 200 and Path(path).stat().st_size == LARGEST_UPLOAD
    assert "Not labelled" in running.label(file_data(path), "largest")[1]


def test_slow_clients_do_not_keep_others_waiting(running):
    slow = [running.connect() for _ in range(150)]
    for number, client in enumerate(slow):
        client.sendall((running.head("upload", 10**6) + BEGUN)[: 20 * number])
    _, path = running.upload("quick.wav", recording())
    assert "Confidence" in running.label(file_data(path), "quick")[1]
    for client in slow:
        client.close()


def test_many_clients_are_labelled_or_told_that_the_queue_is_full(running):
    _, path = running.upload("many.wav", recording())
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda number: running.label(file_data(path), f"many{number}"), range(40)))
    for status, text in answers:
        assert (status == 200 and "Confidence" in text) or (status == 503 and "queue" in text.lower())
    assert sum(status == 200 for status, _ in answers) >= 20
    assert "Confidence" in running.label(file_data(path), "after")[1]


def test_memory_does_not_grow_with_requests(running):
    _, path = running.upload("again.wav", recording())
    peaks = []
    for turn in range(3):
        for number in range(10):
            assert "Confidence" in running.label(file_data(path), f"again{turn}.{number}")[1]
        peaks.append(running.memory())
    assert peaks[2] - peaks[1] < 40, peaks


class Listener(BaseHTTPRequestHandler):
    """A machine that writes down what is asked of it."""

    def do_GET(self):
        self.server.asked.append(self.path)
        self.send_error(404)

    def log_message(self, *_):
        pass


def test_a_card_loads_nothing_from_other_machines(browse, tmp_path):
    server = HTTPServer(("127.0.0.1", 0), Listener)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    other = f"http://127.0.0.1:{server.server_port}"
    card = f"""{CARD}
![a]({other}/markdown.png) <img src="{other}/html.png" srcset="{other}/set.png 2x"> [![b]({other}/link.png)](x)
<video src="{other}/video.mp4" poster="{other}/poster.png" autoplay></video><audio src="{other}/a.wav" autoplay></audio>
<iframe src="{other}/frame"></iframe><object data="{other}/object"></object><embed src="{other}/embed">
<link rel="stylesheet" href="{other}/style.css"><style>@import url({other}/import.css);</style>
<p style="background: url({other}/background.png)">x</p><svg><image href="{other}/svg.png" /></svg>
<script src="{other}/script.js"></script><img src="x" onerror="fetch('{other}/fetch')">
<picture><source srcset="{other}/source.png"><img src="{other}/picture.png"></picture>

The end of the card.
"""
    demo = Demo(write_bundle(tmp_path / "x.zip", card=card), tmp_path, "--port", "0")
    with browse(demo.address()) as watched:
        watched.page.get_by_role("button", name="Model card").click()
        watched.page.get_by_text("The end of the card.").wait_for()
        watched.page.wait_for_timeout(1000)
        assert watched.page.locator("img").count() > 0  # they stand on the page, but are not loaded
    demo.end()
    server.shutdown()
    assert server.asked == []


def test_check_upload_accepts_a_file_in_the_folder(tmp_path):
    folder = tmp_path.resolve()
    (folder / "a").mkdir()
    (folder / "a/x.wav").touch()
    assert check_upload(f"{folder}/a/../a/x.wav", folder) is None
