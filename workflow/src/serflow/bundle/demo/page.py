"""The page of the demo, with Gradio's components."""

from pathlib import Path

from serflow.bundle.demo.guard import check_upload
from serflow.bundle.demo.result import introduction, learned, result
from serflow.bundle.reader import Bundle
from serflow.inference.classifier import Classifier, Ensemble


def build_page(bundle: Bundle, folder: Path):
    """Return the page, a ``gradio.Blocks`` that loads nothing from any other machine.

    Only files in ``folder``, the folder of uploads, are labelled.
    """
    import gradio

    def label(path: str | None, classifier: Classifier | Ensemble | None = None, progress=gradio.Progress()) -> str:  # noqa: B008
        if not path:
            return ""
        check_upload(path, folder)
        used = classifier or bundle.classifier.unadapted
        return result(
            bundle, used, path, lambda done, whole, what: progress(done / whole, f"{what}: {done:.0f} of {whole:.0f} s")
        )

    def teach(paths: list[str] | None) -> tuple[Classifier | Ensemble | None, str]:
        if not paths:
            return None, ""
        for path in paths:
            check_upload(path, folder)
        return learned(bundle.classifier, paths)

    title = f"serflow: {bundle.about['model']} on {bundle.about['corpus']}"
    private = {"api_visibility": "private"}  # programs use `predict`
    with gradio.Blocks(title=title, analytics_enabled=False) as page:
        gradio.HTML(introduction(bundle), js_on_load=None)
        with gradio.Row():
            file = gradio.File(label="A file of any audio format", height=180)
            microphone = gradio.Audio(
                sources=["microphone"], type="filepath", label="Or record one", editable=False, buttons=[]
            )
        gradio.HTML('<p id="microphone-problem" role="alert"></p>', js_on_load=None)
        voice = []  # the model adapted to it, for this session
        if bundle.classifier.adaptable:
            voice = [gradio.State(None)]
            with gradio.Accordion("Teach it this voice", open=False):
                gradio.Markdown("Recordings of one speaker, of several emotions if possible. They are not labelled.")
                with gradio.Row():
                    several = gradio.File(label="Recordings of the voice", file_count="multiple", height=140)
                    spoken = gradio.Audio(
                        sources=["microphone"], type="filepath", label="Or record one", editable=False, buttons=[]
                    )
                taught = gradio.HTML(js_on_load=None, elem_id="taught")
                several.change(teach, several, [*voice, taught], concurrency_id="model", **private)
                spoken.change(
                    lambda path: teach([path] if path else None),
                    spoken,
                    [*voice, taught],
                    concurrency_id="model",
                    **private,
                )
        shown = gradio.HTML(js_on_load=None, elem_id="result")
        with gradio.Accordion("Model card", open=False):
            # Without colours of code, which are too pale.
            gradio.Markdown(bundle.card.replace("```python", "```"), latex_delimiters=[])
        for component, event in ((file, file.upload), (microphone, microphone.input)):
            event(label, [component, *voice], shown, concurrency_id="model", **private)
            component.clear(lambda: "", None, shown, **private)
    # Recordings of 20 people can wait; one is labelled at a time.
    return page.queue(max_size=20, default_concurrency_limit=1, api_open=False)
