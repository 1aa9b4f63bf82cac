"""A checkpoint's way into a model repository: its parts, then the denoiser's lanes; each appears whole or not at all."""

from __future__ import annotations

import contextlib
import importlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import onnx
import onnx_ir as ir

from export.checkpoint import Checkpoint
from export.graph import check, export
from export.linear import linears
from export.parts import OPSET, Part, versions
from export.policy import Tier
from export.quantise import bytes_by_tier, quantise
from export.ranges import Range, Ranges
from export.ranges import write as write_ranges
from export.recipe import Recipe, recipe_for
from export.skeleton import PARAMETERS, save, save_without_weights, skeletons
from export.weights import attach, blank, stored
from retouch.manifest import FLOAT32, Manifest, publish, verify

ARITHMETIC = {"bf16": "bfloat16", "fp8": "E4M3, bfloat16", "fp4": "E2M1, E4M3, bfloat16"}
CALIBRATION = "calibration.json"
COMPARED = 1_000_000_000  # parameters: above, the float32 twin that a graph is compared with is more than 4 GB

Say = Callable[[str], None]


@dataclass
class Exporter:
    """`say` is told what is being done; `weightless` writes graphs only, which no server loads."""

    checkpoint: Checkpoint
    sha256: str
    repository: Path
    say: Say = print
    weightless: bool = False

    def whole(self, part: Part) -> None:
        """A part around the denoiser: in float32, or typed where it can be given in outline."""
        module = importlib.import_module(part.module)
        if hasattr(module, "FOLDER"):
            self.typed(part)
            return
        with self._publishing(part, "bf16", Manifest(
                self.checkpoint.family, self.sha256, "bf16", FLOAT32, OPSET, versions(),
                settings=module.settings(self.checkpoint))) as staging:
            for graph in module.graphs(self.checkpoint):
                self.say(f"{part.name}: {graph.file}")
                export(graph, staging / graph.file)
                check(graph, staging / graph.file)
            module.files(self.checkpoint, staging)

    def typed(self, part: Part) -> dict[str, int]:
        """A part in bfloat16, the denoiser's bf16 lane above all; its weights' bytes by tier."""
        module = importlib.import_module(part.module)
        self.say(f"{part.name}_bf16: tracing")
        models = skeletons(lambda: module.graphs(self.checkpoint, outline=True), self._giving(module))
        weights = _bytes(models)
        with self._publishing(part, "bf16", self._manifest(part, "bf16", weights)) as staging:
            self._write(models, staging, part, "bf16")
            if not self.weightless:
                self._compare(module, weights, staging)
        return weights

    def narrow(self, part: Part, lane: str, ranges: Ranges, recipe: Recipe | None = None) -> dict[str, int]:
        """A narrow lane of the denoiser, from its bf16 lane, by the best recipe that `ranges` allow or by `recipe`; its
        weights' bytes by tier."""
        recipe = recipe or recipe_for(ranges)
        source = part.folder(self.repository, "bf16")
        models = {path.stem: ir.load(path) for path in sorted(source.glob("*.onnx"))}
        for name, model in models.items():
            some = {linear.module: Range(1.0) for linear in linears(model)} if self.weightless else {}
            quantise(model, lane, ranges.get(name, some), recipe)
        weights = _bytes(models)
        manifest = self._manifest(part, lane, weights)
        if Tier.NVFP4.value in weights:
            manifest.settings["recipe"] = asdict(recipe)
        with self._publishing(part, lane, manifest) as staging:
            self._write(models, staging, part, lane)
            if ranges:
                write_ranges(ranges, staging / CALIBRATION)
        return weights

    def plans(self, part: Part, lane: str, force: bool, strip: bool) -> dict[str, int]:
        """TensorRT plans of a lane that is exported, beside its graphs; their bytes by graph."""
        from export.tensorrt import WIDER, Options, build_plans  # needs TensorRT and a GPU

        folder, wider = part.folder(self.repository, lane), WIDER.get(lane)
        options = Options(force=force, strip=strip, wider=part.folder(self.repository, wider) if wider else None)
        manifest = verify(folder)
        with self._publishing(part, lane, manifest) as staging:
            built = build_plans(folder, staging, lane, options, lambda words, done: self.say(_with_share(words, done)))
            manifest.plans = {name: info.words() for name, info in built.items()}
        return {name: info.bytes for name, info in built.items()}

    def _giving(self, module) -> Callable[[ir.Model], None]:
        """What gives a graph of the part the numbers that its parameters have in the checkpoint."""
        if self.weightless:
            return lambda model: blank(model, PARAMETERS)
        renamed = getattr(module, "parameter", str)
        parameters = {renamed(name): each for name, each in stored(self.checkpoint.folder / module.FOLDER).items()}
        return lambda model: attach(model, PARAMETERS, parameters)

    def _manifest(self, part: Part, lane: str, weights: dict[str, int]) -> Manifest:
        settings = importlib.import_module(part.module).settings(self.checkpoint)
        return Manifest(self.checkpoint.family, self.sha256, lane, ARITHMETIC[lane], OPSET, versions(), weights=weights,
                        settings=settings)

    def _write(self, models: dict[str, ir.Model], staging: Path, part: Part, lane: str) -> None:
        for name, model in models.items():
            path = staging / f"{name}.onnx"
            if self.weightless:
                save_without_weights(model, path)
            else:
                save(model, path, lambda words: self.say(f"{part.name}_{lane}: {words}"))
                onnx.checker.check_model(str(path))
        if not self.weightless:
            importlib.import_module(part.module).files(self.checkpoint, staging)

    def _compare(self, module, weights: dict[str, int], staging: Path) -> None:
        """Structure against torch in float32, where a second copy of the weights in float32 is no burden."""
        if weights["bf16"] // 2 > COMPARED:
            self.say(f"not compared with torch: in float32 the weights take {weights['bf16'] * 2 / 1e9:.0f} GB")
            return
        for graph in module.graphs(self.checkpoint):
            self.say(f"{graph.file} against torch")
            check(graph, staging / graph.file)

    @contextlib.contextmanager
    def _publishing(self, part: Part, lane: str, manifest: Manifest) -> Iterator[Path]:
        """An empty folder whose files become the part's when the block ends well; nothing stays when it does not."""
        folder = part.folder(self.repository, lane)
        staging = folder.parent / ".partial"
        shutil.rmtree(staging, ignore_errors=True)  # of an export that was killed
        staging.mkdir(parents=True)
        try:
            yield staging
            folder.mkdir(exist_ok=True)
            if self.weightless:
                for path in staging.iterdir():
                    path.replace(folder / path.name)
            else:
                publish(staging, folder, manifest)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _bytes(models: dict[str, ir.Model]) -> dict[str, int]:
    """Of the weights by tier; those of a denoiser's `reference` are among its `step`'s."""
    counted = [models["step"]] if "step" in models else models.values()
    return dict(sum((Counter(bytes_by_tier(model)) for model in counted), Counter()))


def _with_share(words: str, done: float | None) -> str:
    return words if done is None else f"{words}, {done:.0%}"
