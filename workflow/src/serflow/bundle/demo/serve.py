"""Serving the demo: one process, one port, one folder of uploads, all gone when it ends."""

import contextlib
import ipaddress
import logging
import os
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

from serflow.bundle.reader import open_bundle
from serflow.runtime.errors import UserError

_SIGNALS = {signal.SIGINT: 0, signal.SIGTERM: 143, signal.SIGHUP: 143}  # each with its exit code
# Gradio and the libraries below it read these when they are imported. A proxy would be asked for the demo's own page.
_OFFLINE = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1"}
_OFFLINE |= {"NO_PROXY": "*", "no_proxy": "*"}


def demo(
    bundle: str,
    /,
    *,
    host: str | None = None,
    port: int | None = None,
    threads: int | None = None,
    encoder: str | None = None,
    no_browser: bool = False,
) -> None:
    """Serve a page that labels recordings, until Ctrl-C.

    The process ends with this function; with code 143 when it is terminated, or its terminal is closed.

    Parameters
    ----------
    bundle
        A bundle: a zip file that the target ``bundles`` of the workflow writes.
    host
        The address to listen on; by default 127.0.0.1, which only this machine can reach.
    port
        The port; by default the first free one from 7860 on; 0 for any free one.
    threads
        Threads of the features and of the model; by default as many as there are processors.
    encoder
        ONNX file of the encoder, for a bundle that does not hold it; by default that in ``resources/encoders/``.
    no_browser
        Do not open the page in a browser.

    Raises
    ------
    UserError
        If the bundle or the address cannot be used, or Gradio is not installed.
    """
    for number, code in _SIGNALS.items():
        signal.signal(number, lambda *_, code=code: sys.exit(code))
    try:
        with tempfile.TemporaryDirectory(prefix="serflow-demo-") as folder:
            opened = open_bundle(bundle, threads or os.cpu_count() or 1, encoder)
            address = _address(host or "127.0.0.1", port)
            _serve(opened, Path(folder).resolve(), *address, browser=not no_browser)
    except SystemExit as end:
        if not end.code:
            print("serflow demo: ended", flush=True)
        os._exit(end.code)  # without waiting for a recording that is being labelled


def _address(host: str, port: int | None) -> tuple[str, list[str], int | None]:
    """Return the address to listen on, names that browsers may call it by, and the port unless Gradio is to choose."""
    # Gradio would try an address that cannot be used for minutes.
    try:
        family, *_, (address, *_) = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
        with socket.create_server((address, port or 0), family=family) as listener:
            free = listener.getsockname()[1]
    except (OSError, OverflowError) as error:
        reason = str(getattr(error, "strerror", None) or error).partition(" (")[0]
        raise UserError(f"{host} port {port or 0} cannot be used ({reason}); give another --port, or --host") from error
    names = ["localhost", "127.0.0.1", "[::1]", f"[{address}]" if ":" in address else address]
    if not ipaddress.ip_address(address.partition("%")[0]).is_loopback:
        names.append("*")
        print(
            f"serflow demo: everybody who can reach {host} on the network can use this page, without a password and "
            "unencrypted; leave --host out to keep it to this machine",
            file=sys.stderr,
        )
    return names[3], names, port if port is None else free


def _serve(bundle, folder: Path, address: str, names: list[str], port: int | None, *, browser: bool):
    for name in [name for name in os.environ if name.startswith("GRADIO_")]:
        del os.environ[name]
    os.environ.update(_OFFLINE, GRADIO_TEMP_DIR=str(folder))
    try:
        import gradio
        from starlette.middleware import Middleware
        from starlette.middleware.base import BaseHTTPMiddleware
        from starlette.middleware.trustedhost import TrustedHostMiddleware
    except ModuleNotFoundError as error:
        raise UserError(
            f"the demo needs {error.name}, which is not installed: pip install -r envs/requirements-demo.txt"
        ) from error
    from serflow.bundle.demo.guard import LARGEST_UPLOAD, guard
    from serflow.bundle.demo.page import build_page

    page = build_page(bundle, folder)
    checks = [
        # No other site's name may be made to lead here (DNS rebinding).
        Middleware(TrustedHostMiddleware, allowed_hosts=names, www_redirect=False),
        Middleware(BaseHTTPMiddleware, dispatch=guard(folder)),
    ]
    try:
        page.launch(
            server_name=address,
            server_port=port,
            inbrowser=browser,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            ssr_mode=False,
            enable_monitoring=False,
            run_history=False,
            footer_links=[],
            max_file_size=LARGEST_UPLOAD,
            app_kwargs={"middleware": checks, "docs_url": None, "redoc_url": None, "openapi_url": None},
            theme=gradio.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
            css_paths=[Path(__file__).parent / "demo.css"],
            js=(Path(__file__).parent / "microphone.js").read_text(encoding="utf-8"),
        )
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # broken connections are no news
        print(f"serflow demo: {page.local_url} (Ctrl-C ends it)", flush=True)
        while True:
            time.sleep(1)  # a signal that reaches another thread is acted on only after this
            remove_old(folder, 600)
    except OSError as error:
        raise UserError(f"{address}: cannot be served ({error}); give another --port, or --host") from error
    finally:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        if page.is_running:
            # Uploads end here, so that they write nothing more. Other connections stay for as long as pages are open.
            logging.disable()
            page.server.force_exit = page.server.should_exit = True
            page.server.thread.join(timeout=1)


def remove_old(folder: Path, seconds: float) -> None:
    """Remove files last written so long ago: uploads, uploads that broke off, and empty files that Gradio makes."""
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file() and time.time() - path.stat().st_mtime > seconds:
                path.unlink()
