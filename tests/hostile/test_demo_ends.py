"""How the demo starts and ends: its address, its folder of uploads, and Ctrl-C at any time."""

import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from demo_server import BEGUN, Demo, file_data, join, recording
from serflow.bundle.demo.serve import remove_old
from tiny_bundle import write_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("bundle") / "tiny.zip")


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
def test_it_ends_with_clients_in_every_state_and_leaves_nothing(bundle, tmp_path, how, code):
    demo = Demo(bundle, tmp_path, "--port", "0")
    demo.address()
    _, path = demo.upload("long.wav", recording(times=1600))
    for number in range(3):
        assert demo.ask("gradio_api/queue/join", join(file_data(path), f"s{number}"))[0] == 200
    clients = [demo.connect() for _ in range(12)]
    for client in clients[:4]:
        client.sendall(demo.head("upload", 10**8) + BEGUN + bytes(10**5))
    for client in clients[4:8]:
        client.sendall(f"GET /gradio_api/heartbeat/s1 HTTP/1.1\r\nHost: {demo.at.split('/')[2]}\r\n\r\n".encode())
    for client in clients[8:11]:
        client.sendall(
            f"GET /gradio_api/queue/data?session_hash=s0 HTTP/1.1\r\nHost: {demo.at.split('/')[2]}\r\n\r\n".encode()
        )
    time.sleep(1)
    assert len(demo.files()) == 5
    out, err = demo.end(how)
    assert demo.process.returncode == code and not list(demo.temporary.iterdir())
    assert (out, err) == ("serflow demo: ended\n" if how == signal.SIGINT else "", "")


@pytest.mark.parametrize("delay", [1.5, 3, 4.5])
def test_ctrl_c_while_it_starts(bundle, tmp_path, delay):
    demo = Demo(bundle, tmp_path, "--port", "0")
    time.sleep(delay)
    _, err = demo.end()
    assert not list(demo.temporary.iterdir())
    assert "Traceback" not in err


def test_a_killed_demo_leaves_one_folder_that_is_named_in_the_documentation(bundle, tmp_path, project):
    demo = Demo(bundle, tmp_path, "--port", "0")
    demo.address()
    demo.upload("x.wav", recording())
    demo.end(signal.SIGKILL)
    (left,) = demo.temporary.iterdir()
    assert left.name.startswith("serflow-demo-") and left.stat().st_mode & 0o077 == 0
    assert "serflow-demo-*" in (project / "docs/using-models.md").read_text()


def test_an_address_that_cannot_be_had_is_one_line(bundle, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        for options, words in (
            (["--port", port], f"127.0.0.1 port {port} cannot be used (Address already in use); give another --port"),
            (["--port", "99999"], "127.0.0.1 port 99999 cannot be used"),
            (["--port", "-1"], "argument --port: -1 is less than 0"),
            (["--port", "0", "--host", "192.0.2.1"], "192.0.2.1 port 0 cannot be used"),  # RFC 5737: nobody's
            (["--host", "192.0.2.1"], "192.0.2.1 port 0 cannot be used"),
            (["--host", "no such host"], "no such host port 0 cannot be used"),
        ):
            demo = Demo(bundle, tmp_path, *options)
            out, err = demo.process.communicate(timeout=60)
            assert demo.process.returncode == 1 and out == "" and len(err.splitlines()) == 1 and words in err


def test_who_opens_it_to_others_is_warned(bundle, tmp_path):
    demo = Demo(bundle, tmp_path, "--port", "0", "--host", "0.0.0.0")
    demo.address()
    assert demo.ask("", Host="any.example")[0] == 200
    _, err = demo.end()
    assert len(err.splitlines()) == 1 and "everybody who can reach 0.0.0.0 on the network" in err


def test_ipv6(bundle, tmp_path):
    demo = Demo(bundle, tmp_path, "--port", "0", "--host", "::1")
    assert re.match(r"http://\[::1\]:\d+/", demo.address())
    assert demo.ask("", Host="evil.example")[0] == 400 and demo.ask("")[0] == 200
    assert demo.end()[1] == ""


def test_without_gradio_it_says_what_to_install(bundle):
    code = "import sys; sys.modules['gradio'] = None\nfrom serflow.cli import main\nmain()"
    command = [sys.executable, "-c", code, "demo", str(bundle), "--port", "0", "--no-browser"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert "the demo needs gradio, which is not installed: pip install -r envs/requirements-demo.txt" in done.stderr


def test_old_files_are_removed_and_new_ones_kept(tmp_path):
    (tmp_path / "below").mkdir()
    for name in ("old", "below/old", "new"):
        (tmp_path / name).write_text(name)
    for name in ("old", "below/old"):
        os.utime(tmp_path / name, (0, time.time() - 601))
    remove_old(tmp_path, 600)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "new"]
