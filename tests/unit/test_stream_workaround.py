"""A stream begins when all before it are forgotten, and what is forgotten is let go of, over a stub
as 2.51's is."""

from __future__ import annotations

import threading
import weakref

import pytest

from retouch.api.errors import Cancelled
from retouch.serving.triton.stream_workaround import FinishedStreams


class Answers:
    """A stream of three answers, which tells its stub of its end."""

    def __init__(self, stub):
        self._stub = stub
        self._left = 3

    def __iter__(self):
        return self

    def __next__(self):
        if not self._left:
            raise StopIteration
        self._left -= 1
        if not self._left:
            self._stub.ended.append(weakref.ref(self))
        return 3 - self._left


class Stub:
    """Forgets streams when it is asked for the client, in the order of what it is told; a client
    that has left is remembered."""

    def __init__(self):
        self.ended = []
        self.forgotten = []
        self.begun = 0
        self.asked = 0
        self.left = False

    def begin(self):
        assert not self.ended, "a stream begins while another is not forgotten"
        self.begun += 1
        return Answers(self)

    def is_cancelled(self):
        self.asked += 1
        if self.left:
            return True
        assert all(stub() is not None for stub in self.ended), (
            "the stub is the last to hold a stream"
        )
        self.forgotten += self.ended
        self.ended.clear()
        return False


@pytest.fixture()
def stub():
    return Stub()


@pytest.fixture()
def settling(stub):
    settling = FinishedStreams()
    settling.asking(stub.is_cancelled)
    return settling


def test_one_after_the_other(stub, settling):
    for _ in range(3):
        assert list(settling.stream(stub.begin)) == [1, 2, 3]
    assert (stub.begun, stub.asked, len(stub.forgotten)) == (3, 2, 2)
    assert [stub_ref() for stub_ref in stub.forgotten] == [None, None], "let go of by us"


def test_who_has_asked_in_between_need_not_wait(stub, settling):
    list(settling.stream(stub.begin))
    assert settling.ask() is False
    list(settling.stream(stub.begin))
    assert stub.asked == 1


def test_a_stream_left_early_is_read_to_its_end(stub, settling):
    answers = settling.stream(stub.begin)
    next(answers)
    answers.close()
    assert len(stub.ended) == 1
    list(settling.stream(stub.begin))


def test_when_the_client_has_left_the_next_edit_asks(stub, settling):
    list(settling.stream(stub.begin))
    stub.left = True
    with pytest.raises(Cancelled):
        list(settling.stream(stub.begin))
    assert stub.begun == 1
    stub.left = False
    settling.asking(stub.is_cancelled)
    assert list(settling.stream(stub.begin)) == [1, 2, 3]


def test_a_stream_that_ends_while_somebody_asks_is_asked_for_again(stub, settling):
    """The question was put before its end: the answer says nothing of it."""
    begun = threading.Event()
    ended = threading.Event()

    def slow():
        begun.set()
        assert ended.wait(5)
        return False

    settling.asking(slow)
    asking = threading.Thread(target=settling.ask)
    asking.start()
    assert begun.wait(5)
    list(settling.stream(stub.begin))
    ended.set()
    asking.join()
    settling.asking(stub.is_cancelled)
    list(settling.stream(stub.begin))
    assert stub.asked == 1
