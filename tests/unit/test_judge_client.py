"""The judge's client: what is sent, what is read, and what becomes of a judge that fails."""

from __future__ import annotations

import base64
import io
import json
import threading

import click
import pytest
from PIL import Image

from fake_judge import FakeJudge, Reply, pictures_of, text_of
from processes import until
from retouch_clients.evaluation import answers, judge
from retouch_clients.evaluation.answers import Asked, ask_all
from retouch_clients.evaluation.judge import Judge, JudgeError, Refused, Unanswered
from retouch_clients.evaluation.pictures import PictureError, for_judge
from retouch_clients.evaluation.question import Choice, Picture, Question, Score
from suite_data import picture

GOOD = '{"reason": "fine", "kept": 4}'


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture()
def question(tmp_path):
    path = picture(tmp_path / "big.png", size=(600, 1200))
    return Question("kept", "Was it kept?", (Picture("The result:", path),), {"kept": Score(1, 5)})


def client(fake, **options):
    return Judge(fake.url, "gauge", **{"pause": 0.001, "timeout": 5.0, **options})


def turns(*replies):
    """Each request gets the next reply, and all after the last one get that."""
    left = list(replies)
    return lambda body: left.pop(0) if len(left) > 1 else left[0]


# -- what is read ----------------------------------------------------------------------------------


def members(**kinds):
    return Question("q", "?", (), kinds)


@pytest.mark.parametrize(
    "answer",
    [
        '{"reason": "x", "kept": 4}',
        'I think {"kept": 1} is a draft.\n```json\n{"reason": "a {brace}", "kept": 4}\n```',
        '{"kept": "4"}',
        '{"kept": 4.0} and that is my answer',
        '{"kept": 4}\n{"unrelated": 1}',
        '{"reason": "nested", "more": {"a": 1}, "kept": 4}',
    ],
)
def test_an_answer_is_its_last_object(answer):
    assert members(kept=Score(1, 5)).read(answer) == {"kept": 4.0}


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "4",
        "I would say 4 out of 5.",
        '{"kept": 6}',
        '{"kept": 0}',
        '{"kept": 3.5}',
        '{"kept": true}',
        '{"kept": null}',
        '{"kept": [4]}',
        '{"kept": NaN}',
        '{"kept": Infinity}',
        '{"kept": "4/5"}',
        '{"kept": 4',
        '{"score": 4}',
        '[{"kept": 4]',
        '{"kept": 4} no, rather {"kept": 9}',
        "{" * 5000,
        '{"kept": 4}' + " and so on" * 2000,
    ],
)
def test_what_cannot_be_read_is_not_guessed(answer):
    assert members(kept=Score(1, 5)).read(answer) is None


def test_all_members_must_be_there():
    both = members(a=Score(0, 10, whole=False), better=Choice(("first", "tie")))
    assert both.read('{"a": 7.5, "better": " First "}') == {"a": 7.5, "better": "first"}
    assert both.read('{"a": 7.5}') is None
    assert both.read('{"a": 7.5, "better": "second"}') is None


# -- what is sent ----------------------------------------------------------------------------------


def test_a_question_is_sent_with_small_jpeg_pictures(question):
    with FakeJudge(lambda body: GOOD) as fake:
        reply = client(fake, key="secret", seed=7).ask(question)
    (body,) = fake.requests
    assert (body["model"], body["temperature"], body["seed"]) == ("gauge", 0, 7)
    assert fake.paths == ["/v1/chat/completions"] and fake.keys == ["Bearer secret"]
    assert "Was it kept?" in text_of(body) and '"kept": <whole number from 1 to 5>' in text_of(body)
    head, _, content = pictures_of(body)[0].partition(",")
    assert head == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(content))) as image:
        assert (image.format, image.size) == ("JPEG", (768, 384))
    assert (reply.text, reply.model, reply.attempts) == (GOOD, "served-1", 1)


def test_a_result_is_scaled_to_its_source_first(tmp_path):
    result, source = picture(tmp_path / "r.png", size=(64, 64)), picture(tmp_path / "s.png")
    with Image.open(io.BytesIO(for_judge(result, source))) as image:
        assert image.size == (32, 24)


def test_the_whole_route_is_taken_as_it_is(question):
    with FakeJudge(lambda body: GOOD) as fake:
        Judge(f"{fake.url}/chat/completions/", "gauge").ask(question)
        assert fake.keys == [None] and fake.paths == ["/v1/chat/completions"]


@pytest.mark.parametrize("url", ["judge.example/v1", "ftp://judge/v1", "http://"])
def test_an_address_that_is_none_is_a_usage_error(url):
    with pytest.raises(click.UsageError, match="it must be http://"):
        Judge(url, "gauge")


def test_a_picture_that_is_none_is_named(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(PictureError, match="bad.png is not a readable picture"):
        for_judge(tmp_path / "bad.png")


# -- a judge that fails ----------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 529])
def test_a_status_that_may_pass_is_tried_again(status, question):
    with FakeJudge(turns(Reply(status, "busy"), Reply(status, "busy"), GOOD)) as fake:
        assert client(fake).ask(question).attempts == 3


def test_attempts_are_bounded(question):
    with FakeJudge(turns(Reply(500, "broken"))) as fake:
        with pytest.raises(Unanswered, match="status 500: broken"):
            client(fake, attempts=3).ask(question)
        assert len(fake.requests) == 3


def test_pauses_double_and_heed_the_endpoint(question, monkeypatch):
    pauses = []

    class Event(threading.Event):
        def wait(self, timeout=None):
            pauses.append(timeout)
            return False

    replies = turns(Reply(429, "", {"Retry-After": "20"}), Reply(500), Reply(500), Reply(500), GOOD)
    with FakeJudge(replies) as fake:
        Judge(fake.url, "gauge", stop=Event()).ask(question)
        assert pauses == [20.0, 2.0, 4.0, 8.0]
        pauses.clear()
        fake.answer = turns(Reply(503, "", {"Retry-After": "99999"}), GOOD)
        Judge(fake.url, "gauge", stop=Event()).ask(question)
    assert pauses == [judge.LONGEST_PAUSE]


def test_a_judge_that_stalls_is_given_up(question):
    with (
        FakeJudge(lambda body: Reply(text=GOOD, stall=30.0)) as fake,
        pytest.raises(Unanswered, match="no answer in time"),
    ):
        client(fake, timeout=0.2, attempts=2).ask(question)


def test_a_stall_may_pass(question):
    with FakeJudge(turns(Reply(text=GOOD, stall=30.0), GOOD)) as fake:
        assert client(fake, timeout=0.5).ask(question).attempts == 2


@pytest.mark.parametrize("raw", [b"<html>busy</html>", b"{}", b'{"choices": []}', b"\xff\xfe"])
def test_a_body_that_is_no_completion_is_tried_again(raw, question):
    with FakeJudge(turns(Reply(raw=raw), GOOD)) as fake:
        assert client(fake).ask(question).attempts == 2


def test_a_body_without_end_is_not_read(question, monkeypatch):
    monkeypatch.setattr(judge, "MAX_BODY", 1000)
    with (
        FakeJudge(lambda body: Reply(text="x" * 200_000)) as fake,
        pytest.raises(Unanswered, match="more than 1000 bytes"),
    ):
        client(fake, attempts=1).ask(question)


def test_no_judge_at_all_is_told(question):
    with FakeJudge(lambda body: GOOD) as fake:
        pass
    with pytest.raises(Unanswered, match="refused"):
        client(fake, attempts=2).ask(question)


@pytest.mark.parametrize(
    "status, hint", [(401, "RETOUCH_JUDGE_KEY"), (403, "RETOUCH_JUDGE_KEY"), (404, "--judge-model")]
)
def test_a_judge_that_refuses_everybody_is_an_error(status, hint, question):
    with FakeJudge(lambda body: Reply(status, "no way")) as fake:
        with pytest.raises(JudgeError, match=f"status {status}: no way; check .*{hint}"):
            client(fake).ask(question)
        assert len(fake.requests) == 1


def test_a_question_that_is_refused_is_not_asked_again(question):
    with FakeJudge(lambda body: Reply(400, "content filter")) as fake:
        with pytest.raises(Refused, match="content filter"):
            client(fake).ask(question)
        assert len(fake.requests) == 1


def test_a_redirect_is_not_followed(question):
    """It would hand the key to another host."""
    with FakeJudge(lambda body: GOOD) as other:
        away = Reply(307, "", {"Location": f"{other.url}/chat/completions"})
        with FakeJudge(lambda body: away) as fake, pytest.raises(Refused, match="status 307"):
            client(fake, key="secret").ask(question)
        assert other.requests == []


# -- all questions ---------------------------------------------------------------------------------


def asked(tmp_path, count, colour=(10, 20, 30)):
    """A question for each of so many items."""
    result = []
    for number in range(count):
        path = picture(tmp_path / f"{number}.png", colour=(*colour[:2], number))
        pictures = (Picture("The result:", path),)
        text = f"Item {number}?"
        result.append(Asked("m", str(number), Question("q", text, pictures, {"kept": Score(1, 5)})))
    return result


def by_item(**replies):
    """Replies by items' numbers, as n2=…; the others get a good one."""

    def answer(body):
        number = text_of(body).split("Item ")[1].split("?")[0]
        return replies.get(f"n{number}", GOOD)

    return answer


def test_answers_are_counted_by_how_they_ended(tmp_path):
    replies = by_item(
        n1="what a lovely picture, 5 of 5!", n2=Reply(400, "filter"), n3=Reply(500), n4=Reply()
    )
    with FakeJudge(replies) as fake:
        result = ask_all(client(fake, attempts=2), asked(tmp_path, 6), tmp_path / "out", 2)
    assert result.statuses == {"answered": 2, "unreadable": 2, "refused": 1, "unanswered": 1}
    assert result.values == {("m", "0"): {"kept": 4.0}, ("m", "5"): {"kept": 4.0}}
    assert result.models == {"served-1"} and len(result.dates) == 1


def test_an_item_needs_all_its_answers(tmp_path):
    first, second = asked(tmp_path, 2)
    both = [first, Asked("m", "0", second.question)]
    with FakeJudge(by_item(n1="babble")) as fake:
        result = ask_all(client(fake), both, tmp_path / "out", 1)
    assert result.values == {} and result.statuses == {"answered": 1, "unreadable": 1}


def test_a_second_run_asks_only_what_had_no_answer(tmp_path):
    questions = asked(tmp_path, 5)
    replies = by_item(n1="babble", n2=Reply(400, "filter"), n3=Reply(500))
    with FakeJudge(replies) as fake:
        ask_all(client(fake, attempts=1), questions, tmp_path / "out", 1)
        fake.requests.clear()
        fake.answer = lambda body: GOOD
        result = ask_all(client(fake), questions, tmp_path / "out", 1)
        assert ["Item 3?" in text_of(body) for body in fake.requests] == [True]
        assert result.statuses == {"answered": 3, "unreadable": 1, "refused": 1}
        fake.requests.clear()
        picture(tmp_path / "0.png", colour=(9, 9, 9))
        assert ask_all(client(fake), questions, tmp_path / "out", 1).statuses["answered"] == 3
        assert len(fake.requests) == 1, "another picture is another question"
        ask_all(Judge(fake.url, "other"), questions, tmp_path / "out", 1)
        assert len(fake.requests) == 6, "another judge is asked everything"


def test_the_journal_keeps_judge_date_and_text(tmp_path):
    with FakeJudge(by_item(n1="babble")) as fake:
        ask_all(client(fake), asked(tmp_path, 2), tmp_path / "out", 1)
    lines = [
        json.loads(line) for line in (tmp_path / "out" / answers.NAME).read_text().splitlines()
    ]
    read, babbled = sorted(lines, key=lambda line: line["item"])
    assert read["values"] == {"kept": 4.0} and read["judge"] == "gauge"
    assert babbled["status"] == "unreadable" and babbled["text"] == "babble"
    assert all(line["model"] == "served-1" and len(line["date"]) == 10 for line in lines)


def test_a_stop_keeps_the_answers(tmp_path, monkeypatch):
    """As Ctrl-C in the thread that writes the journal."""
    questions = asked(tmp_path, 8)
    with FakeJudge(lambda body: GOOD) as fake:
        add = answers.Journal.add

        def interrupted(journal, key, **entry):
            if entry["item"] == "3":
                raise KeyboardInterrupt
            add(journal, key, **entry)

        monkeypatch.setattr(answers.Journal, "add", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ask_all(client(fake), questions, tmp_path / "out", 1)
        monkeypatch.setattr(answers.Journal, "add", add)
        kept = (tmp_path / "out" / answers.NAME).read_text().splitlines()
        fake.requests.clear()
        result = ask_all(client(fake), questions, tmp_path / "out", 1)
        # the stopped run's last question may arrive late, and is one of those asked again
        repeated = {text_of(body) for body in fake.requests}
    assert result.statuses == {"answered": 8} and len(repeated) == 8 - len(kept) > 0


def test_a_stop_does_not_wait_for_a_judge_that_stalls(tmp_path, monkeypatch):
    def interrupted(journal, key, **entry):
        raise KeyboardInterrupt

    monkeypatch.setattr(answers.Journal, "add", interrupted)
    with FakeJudge(by_item(n1=Reply(text=GOOD, stall=60.0))) as fake:
        asking = client(fake, timeout=50.0)
        with pytest.raises(KeyboardInterrupt):
            ask_all(asking, asked(tmp_path, 2), tmp_path / "out", 2)
        until(lambda: fake.sent == 1, "the other answer is not sent")
        assert asking.stop.is_set()


def test_a_judge_that_answers_nothing_is_given_up(tmp_path):
    with FakeJudge(lambda body: Reply(500, "on fire")) as fake:
        with pytest.raises(JudgeError, match="failed 5 times in a row: status 500: on fire"):
            ask_all(client(fake, attempts=1), asked(tmp_path, 40), tmp_path / "out", 1)
        assert len(fake.requests) < 40


def test_a_judge_that_stops_answering_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(answers, "GIVE_UP", 3)
    replies = turns(*[GOOD] * 6, Reply(500, "gone"))
    with FakeJudge(replies) as fake, pytest.raises(JudgeError, match="3 times in a row"):
        ask_all(client(fake, attempts=1), asked(tmp_path, 30), tmp_path / "out", 1)


def test_a_wrong_key_ends_the_run(tmp_path):
    with FakeJudge(lambda body: Reply(401, "bad key")) as fake:
        with pytest.raises(JudgeError, match="bad key"):
            ask_all(client(fake), asked(tmp_path, 30), tmp_path / "out", 2)
        assert len(fake.requests) < 30
