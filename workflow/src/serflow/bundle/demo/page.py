"""The page of the demo, with Gradio's components."""

from pathlib import Path

from serflow.bundle.demo.guard import check_upload
from serflow.bundle.demo.result import introduction, result
from serflow.bundle.reader import Bundle

_MOST_WAITING = 20  # recordings of several people; one is labelled at a time


def build_page(bundle: Bundle, threads: int, folder: Path):
    """Return the page, a ``gradio.Blocks`` that loads nothing from any other machine.

    Parameters
    ----------
    bundle
        The model.
    threads
        Threads of the features.
    folder
        The folder of uploads; no other file is labelled.
    """
    import gradio

    def label(path: str | None, progress=gradio.Progress()) -> str:  # noqa: B008 - how Gradio recognises it
        def show(done: float, whole: float) -> None:
            progress(done / whole, desc=f"{done:.0f} of {whole:.0f} s")

        if not path:
            return ""
        check_upload(path, folder)
        return result(bundle, path, threads, show)

    title = f"serflow: {bundle.about['model']} on {bundle.about['corpus']}"
    private = {"api_visibility": "private"}  # programs use `predict`
    with gradio.Blocks(title=title, analytics_enabled=False) as page:
        gradio.HTML(introduction(bundle), js_on_load=None)
        with gradio.Row():
            file = gradio.File(label="A file of any audio format", height=180)
            microphone = gradio.Audio(
                sources=["microphone"], type="filepath", label="Or record one", editable=False, buttons=[]
            )
        shown = gradio.HTML(js_on_load=None, elem_id="result")
        with gradio.Accordion("Model card", open=False):
            gradio.Markdown(bundle.card, latex_delimiters=[])
        for component, event in ((file, file.upload), (microphone, microphone.input)):
            event(label, component, shown, concurrency_id="model", **private)
            component.clear(lambda: "", None, shown, **private)
    return page.queue(max_size=_MOST_WAITING, default_concurrency_limit=1, api_open=False)
