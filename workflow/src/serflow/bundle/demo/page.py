"""The page of the demo, with Gradio's components."""

from pathlib import Path

from serflow.bundle.demo.guard import check_upload
from serflow.bundle.demo.result import introduction, result
from serflow.bundle.reader import Bundle


def build_page(bundle: Bundle, folder: Path):
    """Return the page, a ``gradio.Blocks`` that loads nothing from any other machine.

    Only files in ``folder``, the folder of uploads, are labelled.
    """
    import gradio

    def label(path: str | None, progress=gradio.Progress()) -> str:  # noqa: B008 - how Gradio recognises it
        if not path:
            return ""
        check_upload(path, folder)
        return result(bundle, path, lambda done, whole: progress(done / whole, desc=f"{done:.0f} of {whole:.0f} s"))

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
    # Recordings of 20 people can wait; one is labelled at a time.
    return page.queue(max_size=20, default_concurrency_limit=1, api_open=False)
