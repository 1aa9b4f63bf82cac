"""The shipped evaluator as its stage runs it: what it is sure of, and what it refuses to load."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import asdict

import numpy as np
import pytest

from retouch.api.response import Scores
from retouch.artifacts.manifest import NAME, ArtifactError, read
from retouch.families.evaluator import Evaluator, ToScore
from retouch.launcher.server import REPOSITORY
from retouch.quality.compared import Compared
from training import scenes
from training.labels import boxes
from training.quality import examples
from training.quality.artifact import halved
from training.quality.faults import FAULTS, cells_of, spoiled
from training.quality.figures import auc
from training.render import render
from training.scenes import BUCKETS
from training.worlds import ShapesSource

FOLDER = REPOSITORY / "evaluator" / "1"
PLAIN = ("nothing", "artefacts", "noise", "drift outside")  # faults that anybody sees


@pytest.fixture(scope="module")
def evaluator():
    return Evaluator(FOLDER)


@pytest.fixture(scope="module")
def edits():
    """Edits of drawn scenes that no training has seen, with the others of their picture."""
    rng = random.Random("unseen")
    groups = []
    for number in range(10):
        scene = scenes.draw_scene(rng, BUCKETS[number % 3])
        drawing = render(scene)
        groups.append(examples.edits_of(rng, ShapesSource(drawing.pixels, scene, drawing)))
    return [(edit, [row for row in group if row is not edit]) for group in groups for edit in group]


def score_of(evaluator, example, answer):
    changes = (example.source != answer) | (example.source != example.target)
    compared = Compared.of(example.source, answer, cells_of(changes.any(-1)).ravel())
    operations = examples.operations_of(example)
    return evaluator.score(ToScore(compared, operations, boxes(example.operations))).score


def test_it_knows_the_words_that_the_parser_can_say():
    settings = read(FOLDER).settings
    known = asdict(examples.vocabulary())
    assert {name: settings[name] for name in known} == json.loads(json.dumps(known))


@pytest.mark.parametrize("fault", PLAIN)
def test_plain_faults_score_below_exact_results(evaluator, edits, fault):
    assert fault in FAULTS
    rng = random.Random(fault)
    scores, good = [], []
    for example, others in edits[:25]:
        answer = spoiled(rng, fault, example, others)
        if answer is not None:
            scores += [score_of(evaluator, example, row) for row in (example.target, answer)]
            good += [True, False]
    assert len(good) >= 10 and auc(np.array(scores), np.array(good)) >= 0.8


def test_scores_are_shares_with_the_version(evaluator, edits):
    example, _ = edits[0]
    cells = np.ones(example.source.shape[0] * example.source.shape[1] // 256, bool)
    compared = Compared.of(example.source, example.target, cells)
    scores = evaluator.score(ToScore(compared, [], np.zeros((5, 2, 4))))
    assert isinstance(scores, Scores) and scores.evaluator == read(FOLDER).settings["version"]
    numbers = scores.score, scores.consistency, scores.instruction, scores.plausibility
    assert all(0 <= number <= 1 for number in numbers)


def test_an_artifact_of_another_stage_is_refused(tmp_path):
    folder = shutil.copytree(FOLDER, tmp_path / "1")
    manifest = json.loads((folder / NAME).read_text())
    del manifest["settings"]["ops"]
    (folder / NAME).write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="does not describe an evaluator"):
        Evaluator(folder)


def test_large_weights_are_stored_in_half_of_the_space():
    onnx = pytest.importorskip("onnx")
    weight = np.linspace(-1, 1, 512, dtype=np.float32).reshape(2, 256)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["weight", "x"], ["y"])],
        "graph",
        [onnx.helper.make_tensor_value_info("x", 1, [256, 1])],
        [onnx.helper.make_tensor_value_info("y", 1, [2, 1])],
        [onnx.numpy_helper.from_array(weight, "weight")],
    )
    opset = [onnx.helper.make_opsetid("", 18)]
    model = onnx.helper.make_model(graph, ir_version=9, opset_imports=opset)
    before = model.ByteSize()
    after = halved(model)
    assert after.ByteSize() < 0.7 * before
    runtime = pytest.importorskip("onnxruntime").InferenceSession(after.SerializeToString())
    (result,) = runtime.run(None, {"x": np.ones((256, 1), np.float32)})
    np.testing.assert_allclose(result, weight.sum(1, keepdims=True), atol=0.1)
