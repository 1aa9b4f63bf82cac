"""The metrics page tells what the denoiser's loop does."""

from __future__ import annotations

from counts import settled

SENTENCE = "make the red circle blue"


def test_an_edit_is_counted(server, client, photo):
    list(client.edit(photo, SENTENCE, precision="bf16"))
    before = settled(server)
    list(client.edit(photo, SENTENCE, precision="bf16", steps=5, previews=2, region=b"full"))
    after = settled(server)

    def grown(name):
        return after[name] - before[name]

    assert (
        grown("retouch_denoiser_answered_total")
        == grown("retouch_denoiser_first_previews_total")
        == 1
    )
    assert (
        grown("retouch_denoiser_steps_total") == grown("retouch_denoiser_stepped_edits_total") == 5
    )
    assert grown("retouch_denoiser_stepped_tokens_total") == 5 * 64
    assert grown("retouch_denoiser_step_seconds_total") > 0
    assert grown("retouch_references_misses_total") == 0 < grown("retouch_references_hits_total"), (
        "a source is seen once"
    )
    assert after["retouch_denoiser_running"] == after["retouch_denoiser_waiting"] == 0
    assert after["retouch_references_bytes"] > 0


def test_the_second_edit_of_an_image_knows_it(client, photo):
    *_, first = client.edit(photo, "move the red circle to the top", seed=1)
    *_, second = client.edit(photo, "move the red circle to the bottom", seed=1)
    *_, third = client.edit(photo, "move the red circle to the bottom", seed=2)
    assert [answer.info.cache["vision"] for answer in (second, third)] == [True, True]
    assert [answer.info.cache["parse"] for answer in (first, second, third)] == [False, False, True]
