"""The stage of a text encoder that sees photos."""

from __future__ import annotations

import numpy as np

from pictures import file_of, scene
from retouch.families import text_stage
from retouch.families.instructx.parser import ParseInput
from retouch.families.text_stage import TextStage
from retouch.imaging import images


class Encoder:
    """A text encoder that sees a photo's first pixel."""

    batches = False
    compiles = False

    def __init__(self, calls):
        self._calls = calls

    def prepared(self, photo):
        self._calls.append("prepared")
        return photo[:1, :1]

    def encode_texts(self, rows):
        self._calls.append([len(photos) for _, photos in rows])
        return [{"prompt_embeds": np.stack([photo.ravel() for photo in row[1]])} for row in rows]


def test_one_photo_at_a_time_is_in_memory_at_its_own_size(monkeypatch, tmp_path):
    calls = []
    decode = images.decode

    def decoded(*arguments, **options):
        calls.append("decoded")
        return decode(*arguments, **options)

    monkeypatch.setattr(images, "decode", decoded)
    monkeypatch.setattr(text_stage, "text_encoder_of", lambda *_: Encoder(calls))
    stage = TextStage(tmp_path)
    files = [file_of(scene())] * 11
    for _ in range(2):  # the second time from the cache
        (parsed,) = stage.parse([ParseInput(files, scene(), "make it blue")])
        assert parsed.queries.shape == (11, 3)
    assert calls == [*["decoded", "prepared"] * 11, [11], *["decoded", "prepared"] * 11]
