"""What pyproject.toml cannot say: the wheel holds a copy of files that lie outside the packages."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
COPIES = (  # folder, patterns, package of the wheel
    (
        "model_repository",
        ("*/config.pbtxt", "*/configs/*.pbtxt", "*/1/model.py", "*/1/.gitkeep"),
        "retouch_export",
    ),
    ("model_repository", ("evaluator/1/model.onnx", "evaluator/1/manifest.json"), "retouch_export"),
    ("deploy", ("*.yml", "grafana/**/*.yml", "grafana/**/*.json"), "retouch_clients"),
)


class BuildWithCopies(build_py):
    def run(self):
        super().run()
        if not self.editable_mode:
            for source, target in self.copies():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)

    def get_outputs(self, include_bytecode=True):
        copies = () if self.editable_mode else self.copies()
        return [*super().get_outputs(include_bytecode), *(str(target) for _, target in copies)]

    def copies(self):
        """Files and where the wheel has them; lanes of adapters, as denoiser_bf16-NAME, are left
        out."""
        for folder, patterns, package in COPIES:
            for pattern in patterns:
                for path in sorted((ROOT / folder).glob(pattern)):
                    if "-" not in path.relative_to(ROOT / folder).parts[0]:
                        yield path, Path(self.build_lib, package, path.relative_to(ROOT))


setup(cmdclass={"build_py": BuildWithCopies})
