"""A running demo for tests, and requests that no browser would send."""

import io
import json
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import soundfile as sf

from voice import voice

# serflow as it is, but every address that the process asks for or connects to is written to a file.
WATCHED = """
import sys
asked = open(sys.argv.pop(1), "a", buffering=1)
def watch(event, arguments):
    if event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], tuple):
        asked.write(f"{arguments[1][0]}\\n")
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        asked.write(f"{arguments[0]}\\n")
sys.addaudithook(watch)
from serflow.cli import main
main()
"""
LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost|::1|None)")
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


BEGUN = b'--edge\r\nContent-Disposition: form-data; name="files"; filename="slow.wav"\r\n\r\n' + bytes(100)


class Demo:
    """A running demo, and what it prints."""

    def __init__(self, bundle, folder, *options):
        self.asked, self.temporary = folder / "asked", folder / "tmp"
        self.temporary.mkdir(exist_ok=True)
        command = [sys.executable, "-c", WATCHED, str(self.asked), "demo", str(bundle), "--no-browser", *options]
        # A proxy that is not there, and settings that would open the demo to others.
        environment = {"TMPDIR": str(self.temporary), "GRADIO_SHARE": "True", "GRADIO_ALLOWED_PATHS": "/"}
        environment["http_proxy"] = "http://127.0.0.1:9"
        self.process = subprocess.Popen(
            ["env", *(f"{name}={value}" for name, value in environment.items()), *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def address(self):
        line = self.process.stdout.readline()
        assert re.fullmatch(r"serflow demo: http://(127\.0\.0\.1|\[::1\]|localhost):\d+/ \(Ctrl-C ends it\)\n", line), (
            line,
            self.end(),
        )
        self.at = line.split()[2]
        return self.at

    def memory(self):
        """Return the most memory that the process has had, in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024

    def end(self, how=signal.SIGINT):
        """End it, which may not take long; return what else it printed."""
        self.process.send_signal(how)
        return self.process.communicate(timeout=30)

    def files(self):
        """Return the uploaded files; Gradio makes empty ones beside them."""
        return sorted(path for path in self.temporary.rglob("*") if path.is_file() and path.stat().st_size)

    def ask(self, path, body=None, **headers):
        """Send a request; return the status and the text of the answer."""
        body = json.dumps(body).encode() if isinstance(body, dict) else body
        headers = {"Content-Type": "application/json"} | {
            name.replace("_", "-"): text for name, text in headers.items()
        }
        request = urllib.request.Request(self.at + path, body, headers)
        try:
            with _DIRECT.open(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def upload(self, name, content, **headers):
        """Send a file as a browser does; return the status and its path on the server."""
        head = f'--edge\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
        body = head.encode() + content + b"\r\n--edge--\r\n"
        kind = {"Content-Type": "multipart/form-data; boundary=edge"}
        status, text = self.ask("gradio_api/upload", body, **kind, **headers)
        return status, json.loads(text)[0] if status == 200 else text

    def label(self, file, session):
        """Have a file labelled; return the status and, of an accepted one, what the page would show."""
        status, text = self.ask("gradio_api/queue/join", join(file, session))
        return (status, self.shown(session)) if status == 200 else (status, text)

    def connect(self):
        """Open a connection on which nothing is sent yet."""
        host, port = self.at.split("/")[2].split(":")
        return socket.create_connection((host, int(port)), timeout=30)

    def head(self, path, length):
        """Return the head of a request with a file in it."""
        lines = [
            f"POST /gradio_api/{path} HTTP/1.1",
            f"Host: {self.at.split('/')[2]}",
            "Content-Type: multipart/form-data; boundary=edge",
            f"Content-Length: {length}",
        ]
        return "\r\n".join([*lines, "", ""]).encode()

    def shown(self, session):
        """Return the end of what the server sends to a session."""
        return self.ask(f"gradio_api/queue/data?session_hash={session}")[1]


def recording(times=1):
    """Return a WAV of a voice, 0.45 s or several times that."""
    content = io.BytesIO()
    sf.write(content, np.tile(voice(0.45), times), 16000, format="WAV")
    return content.getvalue()


def join(file, session="x", number=0):
    """Return the request by which the page asks for a label."""
    return {"data": [file], "fn_index": number, "session_hash": session, "trigger_id": 3}


def file_data(path, **more):
    """Return a file as Gradio's components name it."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}} | more
