"""A TensorRT plan in words: where it was built, for which shapes, and what was found in it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from retouch.api.lanes import precision_of
from retouch.artifacts.manifest import ArtifactError, Manifest


@dataclass(frozen=True)
class Machine:
    """The GPU's name, its compute capability (major, minor), and the version of TensorRT."""

    gpu: str
    capability: tuple[int, int]
    tensorrt: str

    @property
    def release(self) -> tuple[int, int]:
        """TensorRT's major and minor version."""
        major, minor, *_ = self.tensorrt.split(".")
        return int(major), int(minor)


@dataclass
class PlanInfo:
    """What the manifest says of a plan.

    `profiles` maps, for each optimisation profile, an input to its smallest, favoured and largest
    shape. `bytes` are the plan file's, `weight_bytes` the engine's weights as TensorRT counts them.
    `layers` counts matrix products by format, and attention in one kernel. `similarity` is the
    least cosine to ONNX Runtime's output, by output; `milliseconds` the median of a run, by lane,
    where lanes were compared. The weights of a `stripped` plan come from the graph's ONNX file."""

    gpu: str
    capability: tuple[int, int]
    tensorrt: str
    precision: str
    profiles: list[dict[str, list[list[int]]]]
    bytes: int
    weight_bytes: int
    layers: dict[str, int]
    stripped: bool = False
    similarity: dict[str, float] = field(default_factory=dict)
    milliseconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, manifest: Manifest, graph: str) -> PlanInfo:
        """The plan of `graph`; ArtifactError when the manifest tells of none."""
        try:
            return cls(**manifest.plans[graph])
        except KeyError:
            raise ArtifactError(
                f"the {manifest.precision} lane has no TensorRT plan of {graph}; {rebuild(manifest.precision)}"
            ) from None
        except TypeError:
            raise ArtifactError(
                f"the manifest's words on the plan of {graph} are damaged; {rebuild(manifest.precision)}"
            ) from None

    def check(self, machine: Machine, graph: str) -> None:
        """ArtifactError unless the plan can run on `machine`.

        A plan loads in the very version of TensorRT that built it, patches included, unless it was
        built to be compatible, which costs the narrow kernels; and it holds kernels for one compute
        capability."""
        built = Machine(self.gpu, tuple(self.capability), self.tensorrt)
        if built.tensorrt != machine.tensorrt:
            raise ArtifactError(
                f"the plan of {graph} was built by TensorRT {built.tensorrt} and this is TensorRT "
                f"{machine.tensorrt}; {rebuild(self.precision)}"
            )
        if built.capability != machine.capability:
            raise ArtifactError(
                f"the plan of {graph} was built for {described(built)} and this is "
                f"{described(machine)}; {rebuild(self.precision)}"
            )

    def words(self) -> dict[str, Any]:
        """What `of` reads again, as it stands in the manifest."""
        return asdict(self)


def described(machine: Machine) -> str:
    major, minor = machine.capability
    return f"{machine.gpu} (compute capability {major}.{minor})"


def rebuild(lane: str) -> str:
    """What to do when a plan is of no use here."""
    adapter = lane.removeprefix(precision_of(lane))[1:]
    options = f"{precision_of(lane)}{f' --lora ADAPTER --lora-name {adapter}' if adapter else ''} --tensorrt"
    return f"build it here with: retouch export CHECKPOINT --precision {options}"
