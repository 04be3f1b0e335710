"""Fetching from real servers on this machine that misbehave in every way that servers do."""

import email.utils
import random
import time

import pytest

from misbehaving import serving, status, tag, whole
from serflow.corpus.download import Downloader, shown
from serflow.runtime.errors import UserError

CONTENT = random.Random(0).randbytes(300_000)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as server:
        server.files["/corpus.zip"] = CONTENT
        yield server


@pytest.fixture
def path(tmp_path):
    return tmp_path / "downloads" / "corpus.zip"


class Fetching:
    """A downloader that waits for nothing, and remembers for how long it would have."""

    def __init__(self, **options):
        self.waited: list[float] = []
        options = {"loopback": True, "timeout": (5, 5), "draw": lambda: 0.5} | options
        self.downloader = Downloader(sleep=self.waited.append, **options)

    def __call__(self, server, path, check=lambda head: None, **options):
        self.downloader.fetch(server.url(), path, check=check, **options)
        assert path.read_bytes() == server.files["/corpus.zip"]
        assert [file.name for file in path.parent.iterdir()] == ["corpus.zip"]


def refused(server, path, message, *, url=None, kept=False, check=lambda head: None, room=0, **options):
    fetching = Fetching(**options)
    with pytest.raises(UserError, match=message) as error:
        fetching.downloader.fetch(url or server.url(), path, check=check, room=room)
    assert "\n" not in str(error.value) and not path.exists()
    assert bool(list(path.parent.glob("*.part"))) == kept
    return fetching.waited


def asked(server, header):
    return [headers.get(header) for _, headers in server.asked]


def test_a_file_is_fetched_once(server, path):
    Fetching()(server, path)
    Fetching()(server, path)
    assert len(server.asked) == 1 and asked(server, "Accept-Encoding") == ["identity"]


def test_a_dropped_connection_is_resumed(server, path):
    server.turns = [whole(sent=100_000), whole(sent=50_000)]
    fetching = Fetching()
    fetching(server, path)
    assert asked(server, "Range") == [None, "bytes=100000-", "bytes=150000-"]
    assert asked(server, "If-Range") == [None, tag(CONTENT), tag(CONTENT)]
    assert fetching.waited == [1.0, 1.0]  # each got farther, so the waits do not grow


def test_what_a_killed_process_left_is_gone_on_with(server, path):
    server.turns = [whole(sent=100_000)]
    refused(server, path, "gave up after 1 attempts", kept=True, attempts=1)
    Fetching()(server, path)
    assert asked(server, "Range") == [None, "bytes=100000-"]


def test_a_finished_file_that_was_not_renamed_is_not_asked_for(server, path):
    server.turns = [whole(sent=200_000)]
    refused(server, path, "gave up", kept=True, attempts=1)
    partial = next(path.parent.glob("*.part"))
    partial.write_bytes(CONTENT)
    Fetching()(server, path)
    assert len(server.asked) == 1


def test_a_server_that_ignores_ranges(server, path):
    server.turns = [whole(sent=100_000), whole(ranges=False)]
    Fetching()(server, path)
    assert asked(server, "Range") == [None, "bytes=100000-"]


def test_a_server_without_a_validator_is_started_again(server, path):
    server.turns = [whole(sent=100_000, validator=False)]
    Fetching()(server, path)
    assert asked(server, "Range") == [None, None]


def test_a_weak_validator_does_not_do_but_a_date_does(server, path):
    changed = "Wed, 01 Jan 2025 00:00:00 GMT"

    def answer(handler):
        handler.head(200, ETag='W/"x"', Last_Modified=changed, Content_Length=len(CONTENT))
        handler.wfile.write(CONTENT[:1000])

    server.turns = [answer]
    Fetching()(server, path)
    assert asked(server, "If-Range") == [None, changed]


def test_another_version_between_attempts(server, path):
    def changes(handler):
        whole(sent=100_000)(handler)
        server.files["/corpus.zip"] = CONTENT[::-1]

    server.turns = [changes]
    Fetching()(server, path)
    assert asked(server, "If-Range") == [None, tag(CONTENT)]


@pytest.mark.parametrize(
    "headers",
    [
        {"ETag": '"another"', "Content_Range": f"bytes 100000-{len(CONTENT) - 1}/{len(CONTENT)}"},
        {"ETag": tag(CONTENT), "Content_Range": f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}"},
        {"ETag": tag(CONTENT), "Content_Range": "nonsense"},
        {"ETag": tag(CONTENT)},
    ],
)
def test_a_piece_that_does_not_continue_what_is_here(server, path, headers):
    server.turns = [whole(sent=100_000), status(206, b"x" * 200_000, **headers)]
    Fetching()(server, path)
    assert asked(server, "Range") == [None, "bytes=100000-", None]


def test_a_file_that_has_become_shorter(server, path):
    def shrinks(handler):
        whole(sent=100_000)(handler)
        server.files["/corpus.zip"] = CONTENT[:5000]

    server.turns = [shrinks, status(416, Content_Range="bytes */5000")]
    Fetching()(server, path)
    assert asked(server, "Range") == [None, "bytes=100000-", None]


def test_429_with_the_seconds_to_wait(server, path):
    server.turns = [status(429, Retry_After=7), status(429, Retry_After="0")]
    fetching = Fetching()
    fetching(server, path)
    assert fetching.waited == [7.0, 0.0]


def test_429_with_a_date(server, path):
    server.turns = [status(429, Retry_After=email.utils.formatdate(time.time() + 90, usegmt=True))]
    fetching = Fetching()
    fetching(server, path)
    assert 30 < fetching.waited[0] <= 90


def test_429_for_longer_than_anyone_waits(server, path):
    server.turns = [status(429, Retry_After=86_400)]
    assert refused(server, path, "429 Too Many Requests; asks to come back in 1440 minutes") == []


@pytest.mark.parametrize("code", [408, 500, 502, 503, 504])
def test_a_server_that_fails_for_a_while(server, path, code):
    server.turns = [status(code)] * 3
    fetching = Fetching(draw=random.Random(0).random)
    fetching(server, path)
    assert all(0.5 * 2**n <= wait < 1.5 * 2**n for n, wait in enumerate(fetching.waited))
    assert len(fetching.waited) == 3 and fetching.waited != [1.0, 2.0, 4.0]


def test_a_server_that_fails_for_good(server, path):
    server.turns = [status(503)] * 20
    assert refused(server, path, "503 Service Unavailable; gave up after 5 attempts") == [1.0, 2.0, 4.0, 8.0]


def test_no_server_at_all(server, path):
    server.server_close()
    refused(server, path, "the connection broke; gave up after 2 attempts", attempts=2)


def test_a_host_that_has_no_address(path):
    refused(None, path, "the host's name is unknown here; is there a network", url="https://x.invalid/", attempts=1)


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410])
def test_an_answer_that_no_waiting_mends(server, path, code):
    server.turns = [status(code)]
    assert refused(server, path, f"{server.url()}: {code} ") == []


@pytest.mark.parametrize("code", [204, 206, 304])
def test_an_answer_to_another_question(server, path, code):
    server.turns = [status(code)]
    refused(server, path, f"{code} .*which is no answer to what was asked")


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_with_its_range(server, path, code):
    server.turns = [
        status(code, Location="/corpus.zip?token=secret"),
        whole(sent=9000),
        status(code, Location=server.url()),
    ]
    Fetching()(server, path)
    assert asked(server, "Range") == [None, None, "bytes=9000-", "bytes=9000-"]


@pytest.mark.parametrize(
    "place", ["http://example.org/x", "ftp://example.org/x", "file:///etc/passwd", "http://10.0.0.1/"]
)
def test_a_redirect_to_anything_but_https(server, path, place):
    server.turns = [status(302, Location=place)]
    refused(server, path, f"redirects to {place}; only https is followed")
    assert len(server.asked) == 1


def test_plain_http_is_for_tests_alone(server, path):
    refused(server, path, "only https addresses are fetched from", loopback=False)
    assert not server.asked
    refused(server, path, "only https", url="http://example.org/x.zip")


def test_redirects_without_end(server, path):
    server.turns = [status(302, Location="/corpus.zip")] * 50
    refused(server, path, "redirected more than 5 times")
    assert len(server.asked) == 6


@pytest.mark.parametrize("place", ["http://[", "https://[::1", "https://"])
def test_a_redirect_to_nonsense(server, path, place):
    server.turns = [status(302, Location=place)]
    refused(server, path, "http://127.0.0.1")


def test_a_body_that_is_too_short(server, path):
    server.turns = [whole(sent=290_000)] + [whole(sent=0)] * 20
    refused(server, path, "gave up after 5 attempts", kept=True)


def test_a_body_that_is_too_long(server, path):
    """A piece that goes on after the end that was announced."""

    def answer(handler):
        handler.head(206, ETag=tag(CONTENT), Content_Range=f"bytes 100000-{len(CONTENT) - 1}/{len(CONTENT)}")
        handler.wfile.write(CONTENT[100_000:] + b"and more")

    server.turns = [whole(sent=100_000), answer]
    refused(server, path, "sent more bytes than it announced")


def test_a_body_without_end(server, path):
    server.files["/corpus.zip"] = CONTENT * 10
    server.turns = [whole(length=False)]
    refused(server, path, "sent more bytes than it may", most=1_000_000)


def test_a_body_of_unsaid_length(server, path):
    server.turns = [whole(length=False)]
    Fetching()(server, path)


def test_a_file_said_to_be_larger_than_allowed(server, path):
    refused(server, path, r"0\.3 GB, more than|0\.0 GB, more than", most=1000)


def test_no_room_for_it(server, path):
    server.turns = [status(200, Content_Length=10**16)]
    refused(server, path, "needs 10,000,000.0 GB of free space", most=10**18)
    refused(server, path, "needs 10,000,000.0 GB of free space", room=10**16)


def test_a_web_page_in_place_of_the_file(server, path):
    server.files["/corpus.zip"] = b"\n <!DOCTYPE html><html><title>Sign in</title>" + bytes(5000)
    refused(server, path, "sent a web page in place of the file")


def test_what_the_caller_does_not_want(server, path):
    def check(head):
        assert head == CONTENT[:512]
        raise UserError("not a cat")

    refused(server, path, "corpus.zip: not a cat", check=check)


def test_a_short_file_is_checked_as_well(server, path):
    server.files["/corpus.zip"] = b"<html>"
    refused(server, path, "sent a web page")


def test_an_encoding_that_was_not_asked_for(server, path):
    server.turns = [status(200, b"x", Content_Encoding="gzip")]
    refused(server, path, "sent gzip-encoded")


def test_a_server_that_hangs(server, path):
    server.turns = [whole(sent=1000, hang=True), whole(sent=1000, hang=True)]
    Fetching(timeout=(0.3, 0.3))(server, path)
    assert asked(server, "Range") == [None, "bytes=1000-", "bytes=2000-"]


def test_a_server_that_never_answers(server, path):
    server.turns = [lambda handler: server.released.wait(60)] * 2
    refused(server, path, "no answer in time; gave up after 2 attempts", attempts=2, timeout=(0.3, 0.3))


def test_a_server_that_breaks_off_again_and_again(server, path):
    """Without ranges it may get a little farther each time, and is left all the same."""
    server.turns = [whole(sent=1000 + n, ranges=False) for n in range(100)]
    waited = refused(server, path, "gave up after 20 attempts", kept=True, attempts=2)
    assert len(waited) == 19


def test_an_address_is_shown_without_secrets():
    assert shown("https://me:key@example.org/a/b.zip?token=1#x") == "https://example.org/a/b.zip"
