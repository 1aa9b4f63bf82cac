"""A process of an endpoint has no network: it must not load what runs one."""

import subprocess
import sys

import pytest

RUNNERS = ("onnxruntime", "tokenizers", "torch")
# tritonserver brings this module into its own processes alone
PROGRAM = """
import importlib, sys, types
sys.modules["triton_python_backend_utils"] = types.ModuleType("triton_python_backend_utils")
importlib.import_module("retouch.serving.triton.{model}")
print(*(name for name in {runners} if name in sys.modules))
"""


@pytest.mark.parametrize("model", ("endpoint_model", "preprocess_model"))
def test_it_loads_no_runner(model):
    program = PROGRAM.format(model=model, runners=RUNNERS)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr
