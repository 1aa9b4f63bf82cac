"""The backend `tensorrt`: a plan of a version folder, built on a machine like this one."""

from __future__ import annotations

from pathlib import Path

from retouch.artifacts.manifest import read, verify
from retouch.artifacts.tensorrt_plan import PlanInfo
from retouch.artifacts.typed_folder import part_in
from retouch.backends.base import FixedWeights
from retouch.backends.tensorrt.engine import Engine, machine
from retouch.backends.tensorrt.executor import Executor, Input


class TensorRTBackend(FixedWeights):
    """One plan, checked against its folder's manifest and against this machine."""

    workers = 1
    batches = True
    compiles = False

    def __init__(self, folder: Path, graph: str, keep: tuple[str, ...] = ()):
        """ArtifactError when `graph` has no plan, a changed one, or one for another GPU or
        TensorRT.

        Outputs in `keep` stay on the GPU as inputs of other graphs; np.asarray copies them to the
        host."""
        folder = Path(folder)
        plan = f"{graph}.plan"
        master = f"{graph}.onnx"
        info = PlanInfo.of(read(folder), graph, part_in(folder))
        info.check(machine(), graph)
        self.manifest = verify(folder, plan)
        engine = Engine((folder / plan).read_bytes(), plan)
        if info.stripped:
            verify(
                folder,
                *(name for name in self.manifest.files if name in (master, f"{master}.data")),
            )
            engine.refit(folder / master)
        self.executor = Executor(engine)
        self._keep = keep

    def __enter__(self) -> TensorRTBackend:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, **inputs: Input | list[Input]) -> dict[str, Input]:
        """The graph's outputs by name; ValueError when no profile accepts the inputs' shapes."""
        return self.executor.run(inputs, self._keep)

    def close(self) -> None:
        """Free the GPU's memory."""
        self.executor.close()
