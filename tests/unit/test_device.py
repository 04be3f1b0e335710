"""Where networks run."""

import subprocess
import sys

import onnxruntime
import pytest

from serflow.inference.onnx_model import Network
from serflow.runtime.device import VARIABLE
from serflow.runtime.errors import UserError
from tiny_bundle import model_of, tiny_graph, write_bundle

CONTENT = model_of(tiny_graph()).SerializeToString()
NO_GPU = "CUDAExecutionProvider" not in onnxruntime.get_available_providers()


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_without_a_gpu_networks_run_on_the_cpu(monkeypatch, device):
    monkeypatch.setenv(VARIABLE, device)
    assert "CPUExecutionProvider" in Network(CONTENT)._session.get_providers()


@pytest.mark.skipif(not NO_GPU, reason="onnxruntime has a GPU here")
def test_a_gpu_that_is_not_there_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, "gpu")
    with pytest.raises(UserError, match="device is gpu, but onnxruntime finds none; install onnxruntime-gpu"):
        Network(CONTENT)
    monkeypatch.delenv(VARIABLE)
    command = [sys.executable, "-m", "serflow", "predict", write_bundle(tmp_path / "b.zip"), "x.wav", "--device", "gpu"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "device is gpu" in done.stderr and done.stderr.count("\n") == 1


def test_keras_without_a_gpu(tmp_path):
    code = """
import os, sys
from serflow.models.keras_run import prepare
os.environ["SERFLOW_DEVICE"] = sys.argv[1]
import tensorflow
prepare(0, 1)
print(len(tensorflow.config.get_visible_devices("GPU")))
"""
    import tensorflow

    if tensorflow.config.list_physical_devices("GPU"):
        pytest.skip("TensorFlow has a GPU here")
    for device, told in (("cpu", "0\n"), ("gpu", "")):
        done = subprocess.run([sys.executable, "-c", code, device], capture_output=True, text=True, check=False)
        assert done.stdout == told
        assert ("device is gpu, but TensorFlow finds none" in done.stderr) == (device == "gpu")
