"""``docs/notebook.ipynb``: it runs on the sample run, plays clips, and is stored without outputs."""

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = "docs/notebook.ipynb"


def test_it_is_stored_without_outputs(project):
    cells = [cell for cell in nbformat.read(project / NOTEBOOK, 4).cells if cell.cell_type == "code"]
    assert len(cells) > 8 and not any(cell.outputs or cell.execution_count for cell in cells)


@pytest.mark.extended
def test_every_cell_runs(project, sample, tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    (tmp_path / "docs").mkdir()  # where Jupyter would start it
    (tmp_path / "results").symlink_to(sample.folder / "results")
    notebook = nbformat.read(project / NOTEBOOK, 4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path / "docs")}}).execute()
    shown = [kind for cell in notebook.cells for output in cell.get("outputs", []) for kind in output.get("data", {})]
    assert shown.count("text/html") >= 6 + 5  # players and tables
    assert shown.count("image/png") >= 6 + 2  # waveforms, the spectrogram and the history
    players = [output for cell in notebook.cells for output in cell.get("outputs", []) if "<audio" in str(output)]
    assert len(players) >= 6
