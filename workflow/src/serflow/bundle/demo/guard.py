"""Checks of what clients send to the demo, made before Gradio reads it."""

import json
import os
import re
from pathlib import Path

# `predict` labels longer recordings, without a second copy.
LARGEST_UPLOAD = 200 << 20  # bytes
_LARGEST_MESSAGE = 1 << 20  # bytes; also of what surrounds the file in an upload
# The card is by whoever made the bundle: nothing that it shows may come from another machine.
_POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; object-src 'none'; form-action 'self'"


def check_upload(path: str, folder: Path) -> None:
    """Raise ValueError or OSError if a path is not a regular file in a folder; nothing outside it is looked at.

    ``folder`` is an absolute path without symbolic links.
    """
    place = Path(os.path.normpath(path))
    if not (place.is_relative_to(folder) and place.resolve() == place and place.is_file()):
        raise ValueError("not an upload")


def guard(folder: Path):
    """Return a middleware against requests of other sites, files that were not uploaded, URLs, and too large bodies."""
    from starlette.responses import PlainTextResponse

    def check_message(content: dict) -> dict:
        if "path" in content:
            check_upload(content["path"], folder)
        return content

    async def check(request) -> None:
        headers, path = request.headers, request.scope["path"]
        if headers.get("origin", "://" + headers["host"]).partition("://")[2] != headers["host"]:
            raise ValueError("sent by the page of another site")
        if served := re.match("/gradio_api/(?:file|proxy)[=/](.*)", path, re.DOTALL):
            check_upload(served[1], folder)
        if request.method == "POST":
            upload = path == "/gradio_api/upload"
            if int(headers["content-length"]) > _LARGEST_MESSAGE + upload * LARGEST_UPLOAD:
                raise ValueError("too large")
            if not upload:
                json.loads(await request.body(), object_hook=check_message)

    async def dispatch(request, call_next):
        try:
            await check(request)
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return PlainTextResponse("The page does not send this.", 403)
        response = await call_next(request)
        response.headers["Content-Security-Policy"] = _POLICY
        return response

    return dispatch
