"""The log of decisions, and what it says with people's reviews of all answers."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading

import numpy as np
import pytest

from quality_policies import ACCEPT_FROM, THRESHOLDS, policy, score
from retouch.launcher.paths import ROOT
from retouch.quality.policy.decision_log import DecisionLog, numbered, read_decisions
from retouch.quality.policy.estimates import Outcome, Verdict, estimate, outcomes
from retouch.quality.policy.runner import PolicyRequest, PolicyRunner


def logged(path, records, **options):
    log = DecisionLog(path, **options)
    for record in records:
        log.write(record)
    log.close(30)
    return log


# -- the log ---------------------------------------------------------------------------------------


def test_every_record_is_one_line(tmp_path):
    path = tmp_path / "new" / "decisions.jsonl"
    records = [{"number": i, "reason": "a\nb"} for i in range(50)]
    log = logged(path, records)
    assert (log.written, log.dropped) == (50, 0)
    assert [json.loads(line) for line in path.read_text().splitlines()] == records
    assert path.stat().st_mode & 0o077 == 0


def test_a_log_goes_on_where_it_was(tmp_path):
    path = tmp_path / "decisions.jsonl"
    logged(path, [{"number": 0}])
    logged(path, [{"number": 1}])
    assert read_decisions(path) == ([{"number": 0}, {"number": 1}], 0)


def test_files_are_bounded_in_size_and_number(tmp_path):
    path = tmp_path / "decisions.jsonl"
    log = logged(path, [{"number": i} for i in range(100)], max_bytes=100, files=3)
    assert log.written == 100
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        path.name,
        f"{path.name}.1",
        f"{path.name}.2",
    ]
    assert all(file.stat().st_size <= 100 for file in tmp_path.iterdir())
    numbers = [record["number"] for record in read_decisions(path)[0]]
    assert numbers == list(range(numbers[0], 100)) and len(numbers) > 10


def test_one_file_alone_begins_anew(tmp_path):
    path = tmp_path / "decisions.jsonl"
    logged(path, [{"number": i} for i in range(100)], max_bytes=100, files=1)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert read_decisions(path)[0][-1] == {"number": 99}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_counts_a_drop(tmp_path):
    path = tmp_path / "decisions.jsonl"
    path.symlink_to("/dev/full")
    log = logged(path, [{"number": i} for i in range(7)])
    assert (log.written, log.dropped) == (0, 7)


def test_a_folder_that_cannot_be_made_counts_a_drop(tmp_path):
    (tmp_path / "file").write_text("")
    log = logged(tmp_path / "file" / "decisions.jsonl", [{"number": 0}])
    assert (log.written, log.dropped) == (0, 1)


def test_a_disk_that_fills_within_a_line_keeps_no_part_of_it(tmp_path):
    """A limit on the size of files stands for the disk."""
    code = f"""
import pathlib, resource
from retouch.quality.policy.decision_log import DecisionLog
resource.setrlimit(resource.RLIMIT_FSIZE, (40, 40))
log = DecisionLog(pathlib.Path({str(tmp_path / "decisions.jsonl")!r}))
for number in range(9):
    log.write({{"number": number}})
log.close(30)
print(log.written, log.dropped)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["3", "6"]
    records, unreadable = read_decisions(tmp_path / "decisions.jsonl")
    assert ([record["number"] for record in records], unreadable) == ([0, 1, 2], 0)


def test_a_slow_disk_delays_nobody(tmp_path):
    path = tmp_path / "decisions.jsonl"
    os.mkfifo(path)  # opening it waits for a reader
    log = DecisionLog(path, queued=5)
    for number in range(50):
        log.write({"number": number})
    assert log.dropped >= 50 - 5 - 1
    reader = threading.Thread(target=path.read_bytes)
    reader.start()
    log.close(30)
    reader.join(30)
    assert not reader.is_alive()


@pytest.mark.parametrize("record", ({"score": float("nan")}, {"answer": object()}))
def test_what_is_no_json_is_dropped(tmp_path, record):
    log = logged(tmp_path / "decisions.jsonl", [record, {"number": 1}])
    assert (log.written, log.dropped) == (1, 1)


def test_unreadable_lines_are_counted(tmp_path):
    path = tmp_path / "decisions.jsonl"
    path.write_text('{"number":0}\n{"numb\n3\n{"number":1}\n')
    numbered(path, 1).write_text('{"number":9}\n')
    assert read_decisions(path) == ([{"number": 9}, {"number": 0}, {"number": 1}], 2)


def test_bounds_are_positive(tmp_path):
    for bound in ("max_bytes", "files", "queued"):
        with pytest.raises(ValueError, match=bound):
            DecisionLog(tmp_path / "decisions.jsonl", **{bound: 0})


# -- estimates -------------------------------------------------------------------------------------

# scores of spoiled answers are uniform from 0 to 0.7, of good ones from 0.4 to 1
SPOILED = 0.3
RECALL = ACCEPT_FROM / 0.7
MISSED = SPOILED * (1 - RECALL)
ACCEPTED = MISSED + (1 - SPOILED) * (1 - (ACCEPT_FROM - 0.4) / 0.6)


def stream(rng, size, audit, refused=0.2):
    """Answers of the stream above: those under 0.3 are refused, those up to ACCEPT_FROM held."""
    spoiled = rng.random(size) < SPOILED
    scores = np.where(spoiled, rng.random(size) * 0.7, 0.4 + rng.random(size) * 0.6)
    accepted = scores >= ACCEPT_FROM
    shares = np.where(accepted, audit, np.where(scores < 0.3, refused, 1.0))
    reviewed = rng.random(size) < shares
    quality = np.where(spoiled, 1.0, 4.0) + rng.random(size)
    return [
        Outcome(bool(a), float(p), Verdict(bool(s), float(q)) if r else None)
        for a, p, s, q, r in zip(accepted, shares, spoiled, quality, reviewed)
    ]


@pytest.mark.parametrize("audit, size", [(0.02, 2000), (0.1, 2000), (0.3, 500)])
def test_intervals_cover_the_truth(audit, size):
    streams = 20
    quality = (MISSED * 1.5 + (ACCEPTED - MISSED) * 4.5) / ACCEPTED
    covered = np.zeros(3)
    for seed in range(streams):
        rng = np.random.default_rng(seed)
        figures = estimate(stream(rng, size, audit), rng, replicates=150)
        pairs = (
            (figures.recall, RECALL),
            (figures.spoiled_share, MISSED / ACCEPTED),
            (figures.quality, quality),
        )
        covered += [one.low <= truth <= one.high for one, truth in pairs]
    # 95 % of them, but for chance in 20 streams and few reviews
    assert (covered >= 0.85 * streams).all(), covered


def test_estimates_are_near_the_truth_of_a_long_stream():
    rng = np.random.default_rng(0)
    figures = estimate(stream(rng, 20_000, 0.1), rng, replicates=100)
    assert figures.recall.value == pytest.approx(RECALL, abs=0.02)
    assert figures.spoiled_share.value == pytest.approx(MISSED / ACCEPTED, abs=0.02)
    assert figures.recall.high - figures.recall.low < 0.08
    assert figures.accepted + figures.stopped == 20_000


def test_without_weights_the_recall_would_be_too_high():
    """The answers that people see are mostly stopped ones."""
    rng = np.random.default_rng(0)
    answers = stream(rng, 20_000, 0.02)
    seen = [one for one in answers if one.verdict and one.verdict.is_spoiled]
    unweighted = np.mean([not one.is_accepted for one in seen])
    figures = estimate(answers, rng, replicates=100)
    assert unweighted > 0.97 > figures.recall.high


def test_no_spoiled_answer_among_few_proves_little():
    answers = [Outcome(True, 0.5, Verdict(False))] * 20 + [Outcome(False, 1.0, Verdict(True))] * 20
    figures = estimate(answers, np.random.default_rng(0), replicates=50)
    assert figures.recall.value == 1.0 and figures.recall.low < 0.9
    assert figures.spoiled_share.value == 0.0 and figures.spoiled_share.high > 0.1
    assert figures.quality is None


def test_nothing_is_known_without_an_audit():
    answers = [Outcome(True, 0.0)] * 100 + [Outcome(False, 1.0, Verdict(True))] * 20
    figures = estimate(answers, np.random.default_rng(0), replicates=50)
    assert (figures.recall, figures.spoiled_share, figures.quality) == (None, None, None)
    assert (figures.accepted, figures.stopped) == (100, 20)


def test_an_empty_log_says_nothing():
    figures = estimate([], np.random.default_rng(0), replicates=50)
    assert (figures.accepted, figures.stopped, figures.recall) == (0, 0, None)


@pytest.mark.parametrize("probability", (0.0, -0.5, 1.5))
def test_a_review_without_a_probability_is_refused(probability):
    with pytest.raises(ValueError, match="more than 0"):
        estimate([Outcome(True, probability, Verdict(True))], np.random.default_rng(0))


def test_the_log_of_a_policy_gives_the_outcomes(tmp_path):
    path = tmp_path / "decisions.jsonl"
    log = DecisionLog(path)
    text = "[retry]\ntries = 0\n[review]\naudit_share = 0.25\nrefused_share = 0.5\n"
    runner = PolicyRunner(
        policy(f"{text}[refuse]\nenabled = true"), THRESHOLDS, random.Random(0), log=log
    )
    results = {}
    for i in range(60):
        name, value = f"edit-{i}", (0.1, 0.45, 0.9)[i % 3]
        request = PolicyRequest(name, i, "bf16", 8, "remove")
        results[name] = runner.run(request, lambda *_: "picture", lambda _, v=value: score(v))
    log.close(30)
    verdicts = {name: Verdict(is_spoiled=False) for name in results}
    answers = outcomes(read_decisions(path)[0], verdicts)
    assert [one.is_accepted for one in answers] == [False, False, True] * 20
    assert [one.review_probability for one in answers] == [0.5, 1.0, 0.25] * 20
    reviewed = [one.verdict is not None for one in answers]
    assert reviewed == [result.is_for_review for result in results.values()]
    assert not all(reviewed[2::3]) and any(reviewed[2::3]) and all(reviewed[1::3])


def test_complaints_about_answers_that_were_not_drawn_do_not_count():
    record = {"request_id": "a", "final": True, "step": "accept", "review": False}
    record["branches"] = [["accept", False, 0.98], ["accept", True, 0.02]]
    (answer,) = outcomes([record, {"final": False}], {"a": Verdict(True)})
    assert answer == Outcome(True, 0.02, None)
