"""Serving the demo: one process, one port, one temporary folder, all gone when it ends."""

import contextlib
import ipaddress
import logging
import os
import signal
import socket
import sys
import tempfile
import webbrowser
from threading import Event

from serflow.bundle.reader import open_bundle
from serflow.runtime.errors import UserError
from serflow.runtime.memory import share_freed_memory

HOST, PORT = "127.0.0.1", 7860
# Gradio and the libraries below it read these when they are imported.
_OFFLINE = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1"}


def demo(
    bundle: str,
    /,
    *,
    host: str | None = None,
    port: int | None = None,
    threads: int | None = None,
    no_browser: bool = False,
) -> None:
    """Serve a page that labels recordings, until Ctrl-C.

    Parameters
    ----------
    bundle
        A file of :func:`serflow.bundle.pack.bundle_model`.
    host
        The address to listen on; by default this machine alone can reach it.
    port
        The port; 7860 by default, 0 for any that is free.
    threads
        Threads of the features and of the model; by default as many as there are processors.
    no_browser
        Do not open the page in a browser.

    Raises
    ------
    UserError
        If the bundle cannot be used, the address cannot be had, or Gradio is not installed.
    SystemExit
        With code 143 when it is terminated, or its terminal is closed.
    """
    threads = threads or os.cpu_count() or 1
    ending = Event()
    share_freed_memory()
    # So that what is temporary is removed then too, and when the terminal is closed.
    signal.signal(signal.SIGTERM, _terminate)
    signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    with contextlib.suppress(KeyboardInterrupt), tempfile.TemporaryDirectory(prefix="serflow-demo-") as folder:
        opened = open_bundle(bundle, threads)
        listener = _listener(host or HOST, PORT if port is None else port)
        os.environ.update(_OFFLINE, GRADIO_TEMP_DIR=folder)
        _serve(opened, threads, listener, ending, browser=not no_browser)
    print("serflow demo: ended", flush=True)


def _terminate(number: int, _) -> None:
    raise SystemExit(128 + number)


def _listener(host: str, port: int) -> socket.socket:
    """Take the port before anything slow is done; who cannot have it is told at once."""
    listener = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address[0], port, *address[2:]))
    except (OSError, OverflowError) as error:
        if listener:
            listener.close()
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{host} port {port} cannot be had ({reason}); give another --port, or --host") from error
    if not ipaddress.ip_address(address[0].partition("%")[0]).is_loopback:
        print(
            f"serflow demo: everybody who can reach {host} on the network can use this page, without a password and "
            "unencrypted; leave --host out to keep it to this machine",
            file=sys.stderr,
        )
    return listener


def _serve(opened, threads: int, listener: socket.socket, ending: Event, *, browser: bool) -> None:
    try:
        import uvicorn

        from serflow.bundle.demo.page import build_application

        application = build_application(opened, threads, ending)
    except ModuleNotFoundError as error:
        raise UserError(
            f"the demo needs {error.name}, which is not installed: pip install -r envs/requirements-demo.txt"
        ) from error

    class Server(uvicorn.Server):
        async def startup(self, sockets=None) -> None:
            await super().startup(sockets)
            if self.started:
                _announce(listener, browser)

        def handle_exit(self, sig, frame) -> None:
            # Pages hold connections for as long as they are open, so that there is nothing to wait for, and no news in
            # that they break off.
            ending.set()
            logging.getLogger("uvicorn.error").disabled = True
            self.force_exit = True
            super().handle_exit(sig, frame)

        async def shutdown(self, sockets=None) -> None:
            await super().shutdown(sockets)
            await self.lifespan.shutdown()  # which a forced exit leaves out

    Server(uvicorn.Config(application, log_level="warning", access_log=False)).run([listener])


def _announce(listener: socket.socket, browser: bool) -> None:
    host, port = listener.getsockname()[:2]
    place = ipaddress.ip_address(host)
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    address = f"http://[{reached}]:{port}/" if place.version == 6 else f"http://{reached}:{port}/"
    print(f"serflow demo: {address} (Ctrl-C ends it)", flush=True)
    if browser:
        webbrowser.open(address)
