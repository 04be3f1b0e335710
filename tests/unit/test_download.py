"""Downloads from a real server on this machine that misbehaves in every way that servers do."""

import email.utils
import hashlib
import random
import time
from types import SimpleNamespace

import pytest

from misbehaving import serving, status, tag, whole
from serflow.fetch import download
from serflow.runtime.errors import UserError

CONTENT = random.Random(0).randbytes(300_000)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "SCHEMES", ("https://", "http://127.0.0.1:"))
    with serving() as server:
        server.files["/corpus.zip"] = CONTENT
        yield server


@pytest.fixture(autouse=True)
def waited(monkeypatch):
    """The seconds that the download would have waited."""
    waits = []
    monkeypatch.setattr(download, "time", SimpleNamespace(sleep=waits.append))
    monkeypatch.setattr(download, "random", SimpleNamespace(random=lambda: 0.5))
    monkeypatch.setattr(download, "TIMEOUT", (5, 5))
    return waits


@pytest.fixture
def path(tmp_path):
    return tmp_path / "downloads" / "corpus.zip"


def fetched(server, path, **options):
    download.fetch(server.url(), path, **options)
    assert path.read_bytes() == server.files["/corpus.zip"]
    assert [file.name for file in path.parent.iterdir()] == ["corpus.zip"]


def refused(server, path, message, *, url=None, kept=False, **options):
    with pytest.raises(UserError, match=message) as error:
        download.fetch(url or server.url(), path, **options)
    assert "\n" not in str(error.value) and not path.exists()
    assert bool(list(path.parent.glob("*.part"))) == kept


def asked(server, header):
    return [headers.get(header) for _, headers in server.asked]


def test_a_file_is_downloaded_once(server, path):
    fetched(server, path, sha256=hashlib.sha256(CONTENT).hexdigest())
    fetched(server, path)
    assert asked(server, "Accept-Encoding") == ["identity"]


def test_a_broken_connection_is_resumed(server, path, waited):
    server.turns = [whole(sent=100_000), whole(sent=50_000)]
    fetched(server, path)
    assert asked(server, "Range") == [None, "bytes=100000-", "bytes=150000-"]
    assert asked(server, "If-Range") == [None, tag(CONTENT), tag(CONTENT)]
    assert waited == [1.0, 1.0]  # each attempt brought bytes, so the waits do not grow


def test_an_interrupted_download_is_resumed_by_the_next_run(server, path, monkeypatch):
    server.turns = [whole(sent=100_000)]
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    refused(server, path, "gave up after 1 attempts", kept=True)
    fetched(server, path)
    assert asked(server, "Range") == [None, "bytes=100000-"]


def test_a_complete_file_that_was_not_renamed_is_not_requested(server, path, monkeypatch):
    server.turns = [whole(sent=200_000)]
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    refused(server, path, "gave up", kept=True)
    next(path.parent.glob("*.part")).write_bytes(CONTENT)
    fetched(server, path)
    assert len(server.asked) == 1


def test_another_address_does_not_continue_an_incomplete_download(server, path, monkeypatch):
    server.turns = [whole(sent=100_000)]
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    refused(server, path, "gave up", kept=True, url=server.url("/corpus.zip?v=1"))
    fetched(server, path)
    assert asked(server, "Range") == [None, None]


@pytest.mark.parametrize(
    ("first", "second", "range_"),
    [
        (whole(sent=100_000), whole(ranges=False), "bytes=100000-"),  # the server ignores ranges
        (whole(sent=100_000, validator=False), whole(), None),  # nothing says which version the first part is of
    ],
)
def test_a_download_that_cannot_be_resumed_starts_again(server, path, first, second, range_):
    server.turns = [first, second]
    fetched(server, path)
    assert asked(server, "Range") == [None, range_]


def test_a_weak_validator_is_not_used_but_a_date_is(server, path):
    changed = "Wed, 01 Jan 2025 00:00:00 GMT"

    def answer(handler):
        handler.head(200, ETag='W/"x"', Last_Modified=changed, Content_Length=len(CONTENT))
        handler.wfile.write(CONTENT[:1000])

    server.turns = [answer]
    fetched(server, path)
    assert asked(server, "If-Range") == [None, changed]


def test_another_version_between_attempts(server, path):
    def changes(handler):
        whole(sent=100_000)(handler)
        server.files["/corpus.zip"] = CONTENT[::-1]

    server.turns = [changes]
    fetched(server, path)
    assert asked(server, "If-Range") == [None, tag(CONTENT)]


REST = f"bytes 100000-{len(CONTENT) - 1}/{len(CONTENT)}"


@pytest.mark.parametrize(
    ("code", "headers"),
    [
        (206, {"ETag": '"another"', "Content_Range": REST}),
        (206, {"ETag": tag(CONTENT), "Content_Range": REST.replace("100000", "0")}),
        (206, {"ETag": tag(CONTENT), "Content_Range": "nonsense"}),
        (206, {"ETag": tag(CONTENT)}),
        (416, {"Content_Range": "bytes */5000"}),
    ],
)
def test_a_part_that_does_not_continue_the_download(server, path, code, headers):
    server.turns = [whole(sent=100_000), status(code, b"x" * 200_000, **headers)]
    fetched(server, path)
    assert asked(server, "Range") == [None, "bytes=100000-", None]


def test_429_with_seconds_to_wait(server, path, waited):
    server.turns = [status(429, Retry_After=7), status(429, Retry_After="0"), status(429, Retry_After="soon")]
    fetched(server, path)
    assert waited == [7.0, 0.0, 4.0]


def test_429_with_a_date(server, path, waited):
    server.turns = [status(429, Retry_After=email.utils.formatdate(time.time() + 90, usegmt=True))]
    fetched(server, path)
    assert 30 < waited[0] <= 90


def test_429_for_too_long(server, path, waited):
    server.turns = [status(429, Retry_After=3600)]
    refused(server, path, "429 Too Many Requests; the server asks to wait for 60 minutes")
    assert not waited


@pytest.mark.parametrize("code", [408, 500, 502, 503, 504])
def test_a_server_that_fails_for_a_while(server, path, code, waited, monkeypatch):
    monkeypatch.setattr(download, "random", random.Random(0))
    server.turns = [status(code)] * 3
    fetched(server, path)
    assert all(0.5 * 2**n <= wait < 1.5 * 2**n for n, wait in enumerate(waited))
    assert len(waited) == 3 and waited != [1.0, 2.0, 4.0]


def test_a_server_that_keeps_failing(server, path, waited):
    server.turns = [status(503)] * 20
    refused(server, path, "503 Service Unavailable; gave up after 5 attempts")
    assert waited == [1.0, 2.0, 4.0, 8.0]


def test_no_server_at_all(server, path):
    server.server_close()
    refused(server, path, "the connection broke; gave up after 5 attempts")


def test_a_host_without_an_address(path):
    refused(None, path, "the name of the host is unknown; is there a network", url="https://x.invalid/")


@pytest.mark.parametrize("code", [204, 206, 304, 400, 401, 403, 404, 410, 416])
def test_a_status_that_waiting_does_not_change(server, path, code, waited):
    server.turns = [status(code)]
    refused(server, path, f"{server.url()}: {code} ")
    assert not waited


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_with_the_range(server, path, code):
    server.turns = [
        status(code, Location="/corpus.zip?token=secret"),
        whole(sent=9000),
        status(code, Location=server.url()),
    ]
    fetched(server, path)
    assert asked(server, "Range") == [None, None, "bytes=9000-", "bytes=9000-"]


@pytest.mark.parametrize(
    "place",
    [
        "http://example.org/?token=1",
        "ftp://example.org/x",
        "file:///etc/passwd",
        "http://10.0.0.1/",
        "http://[",
        "https://",
    ],
)
def test_a_redirect_to_anything_but_https(server, path, place, capsys):
    server.turns = [status(302, Location=place)]
    refused(
        server, path, "^http://127.0.0.1:[0-9]+/corpus.zip: .* may be anything but https", url=server.url() + "?token=1"
    )
    assert len(server.asked) == 1 and "token" not in capsys.readouterr().err


def test_plain_http_is_not_allowed(server, path, monkeypatch):
    monkeypatch.setattr(download, "SCHEMES", ("https://",))
    refused(server, path, "may be anything but https")
    assert not server.asked


def test_redirects_without_end(server, path):
    server.turns = [status(302, Location="/corpus.zip")] * 50
    refused(server, path, "too many redirects")
    assert len(server.asked) == 6


def test_a_body_that_is_too_short(server, path):
    server.turns = [whole(sent=290_000)] + [whole(sent=0)] * 20
    refused(server, path, "gave up after 5 attempts", kept=True)


def test_a_body_that_is_longer_than_announced(server, path):
    def answer(handler):
        handler.head(206, ETag=tag(CONTENT), Content_Range=REST)
        handler.wfile.write(CONTENT[100_000:] + b"and more")

    server.turns = [whole(sent=100_000), answer]
    refused(server, path, "sent more bytes than announced")


def test_a_file_that_is_too_large(server, path, monkeypatch):
    monkeypatch.setattr(download, "LARGEST_FILE", 100_000)
    refused(server, path, "0.0 GB, more than the 0.0 GB allowed")
    server.turns = [whole(length=False)]
    refused(server, path, "sent more bytes than allowed")


def test_a_body_of_unknown_length(server, path):
    server.turns = [whole(length=False)]
    fetched(server, path)


def test_a_disk_that_is_too_full(server, path, monkeypatch):
    monkeypatch.setattr(download, "LARGEST_FILE", 10**18)
    server.turns = [status(200, Content_Length=10**16)]
    refused(server, path, "needs 10,000,000.0 GB of free space")
    refused(server, path, "needs 10,000,000.0 GB of free space", room=10**16)


@pytest.mark.parametrize("page", [b"\n <!DOCTYPE html><html><title>Sign in</title>" + bytes(5000), b"<html>"])
def test_a_web_page_instead_of_the_file(server, path, page):
    server.files["/corpus.zip"] = page
    refused(server, path, "sent a web page instead of the file")


def test_a_file_that_the_caller_does_not_expect(server, path):
    def check(head):
        assert head == CONTENT[:512]
        raise UserError("not a cat")

    refused(server, path, "corpus.zip: not a cat", check=check)
    refused(server, path, "its sha256 is [0-9a-f]{64}, not abc", sha256="abc")


def test_a_server_that_hangs(server, path, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", (0.3, 0.3))
    server.turns = [whole(sent=1000, hang=True), whole(sent=1000, hang=True)]
    fetched(server, path)
    assert asked(server, "Range") == [None, "bytes=1000-", "bytes=2000-"]
    path.unlink()
    server.turns = [lambda handler: server.released.wait(60)] * 5
    refused(server, path, "no answer in time; gave up after 5 attempts")


def test_secrets_in_an_address_are_not_printed(server, path, capsys):
    assert download.shown("https://me:key@example.org/a/b.zip?token=1#x") == "https://example.org/a/b.zip"
    server.turns = [status(503), whole(sent=1000), status(404)]
    refused(server, path, "404", kept=True, url=server.url("/corpus.zip?token=1"))
    server.server_close()
    refused(server, path, "broke", kept=True, url=server.url("/corpus.zip?token=1"))
    said = capsys.readouterr().err
    assert "503" in said and "token" not in said
