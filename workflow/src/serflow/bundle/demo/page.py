"""The page of the demo, with Gradio's components."""

from pathlib import Path
from threading import Event

from serflow.bundle.demo.result import introduction, result
from serflow.bundle.reader import Bundle

# More is labelled by `predict`, which needs no second copy of a recording.
LARGEST_UPLOAD = 200 << 20
_WAITING = 20  # recordings of several people; one is labelled at a time
_CLEARED = (60, 600)  # every so many seconds what is older than so many


class _Stopped(Exception):
    """The demo is ending, so that nobody waits for a label any more."""


def build_application(bundle: Bundle, threads: int, ending: Event):
    """Build the page.

    Parameters
    ----------
    bundle
        The model.
    threads
        Threads of the features.
    ending
        Once it is set, the recording at work is given up.

    Returns
    -------
    starlette.applications.Starlette
        An ASGI application that asks nothing of any other machine.
    """
    import gradio
    from starlette.applications import Starlette

    def label(path: str | None, progress=gradio.Progress()) -> str:  # noqa: B008 - how Gradio recognises it
        def told(done: float, whole: float) -> None:
            if ending.is_set():
                raise _Stopped
            progress(done / whole, desc=f"{done:.0f} of {whole:.0f} s")

        try:
            return result(bundle, path, threads, told) if path else ""
        except _Stopped:
            return ""

    title = f"serflow: {bundle.about['model']} on {bundle.about['corpus']}"
    # Of the events nothing is for programs, which have `predict`.
    quiet = {"api_visibility": "private"}
    with gradio.Blocks(title=title, analytics_enabled=False, delete_cache=_CLEARED) as page:
        gradio.HTML(introduction(bundle), js_on_load=None)
        with gradio.Row():
            file = gradio.File(label="A file of any audio format", height=180)
            microphone = gradio.Audio(
                sources=["microphone"], type="filepath", label="Or record one", editable=False, buttons=[]
            )
        shown = gradio.HTML(js_on_load=None, elem_id="result")
        with gradio.Accordion("Model card", open=False):
            gradio.Markdown(bundle.card, latex_delimiters=[])
        for given, done in ((file, file.upload), (microphone, microphone.input)):
            done(label, given, shown, concurrency_id="model", **quiet)
            given.clear(lambda: "", None, shown, **quiet)
    page.queue(max_size=_WAITING, default_concurrency_limit=1)
    return gradio.mount_gradio_app(
        Starlette(),
        page,
        "/",
        app_kwargs={"docs_url": None, "redoc_url": None, "openapi_url": None},
        footer_links=[],
        run_history=False,
        root_path="",
        show_error=True,
        max_file_size=LARGEST_UPLOAD,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=gradio.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
        css_paths=[Path(__file__).parent / "demo.css"],
    )
