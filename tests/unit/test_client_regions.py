"""Shared memory of the Python client: what lies in a region, who gets which, and what is left of
it."""

from __future__ import annotations

import errno

import pytest
import tritonclient.grpc as grpc
from tritonclient.utils import InferenceServerException, deserialize_bytes_tensor

from retouch.api.errors import RequestError
from retouch.api.request import EditRequest, request_to_values
from retouch.client import AsyncRetouch, Retouch, inputs_of, shared_memory
from retouch.client.shared_memory import FILES, LEAST, Regions

REQUEST = EditRequest(b"image" * 1000, "make it blue", references=(b"one", b"two"))


def files_of(request):
    values = request_to_values(request)
    return [values[name] for name in FILES]


def contents(region, inputs):
    """The files among the inputs, as a server finds them in the region."""
    results = []
    for input in inputs:
        reported = input._get_tensor().parameters
        if "shared_memory_region" in reported:
            begin = reported["shared_memory_offset"].int64_param
            element = region._memory[
                begin : begin + reported["shared_memory_byte_size"].int64_param
            ]
            (content,) = deserialize_bytes_tensor(element)
            results.append(content)
    return results


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when the test says so."""
    now = [100.0]
    monkeypatch.setattr(shared_memory.time, "monotonic", lambda: now[0])
    return now


def registered(region):
    with region.registering():
        pass
    return region


def test_files_lie_in_the_region_and_the_rest_in_the_message():
    regions = Regions()
    region = regions.take(REQUEST)
    inputs = inputs_of(REQUEST, grpc, region.place)
    assert sorted(contents(region, inputs)) == sorted(files_of(REQUEST))
    raw = [input.name() for input in inputs if input._get_content() is not None]
    assert len(raw) == len(inputs) - len(FILES) and not set(raw) & set(FILES)
    registered(region)


def test_an_edit_of_a_region_that_served_before_finds_its_own_files():
    regions = Regions()
    region = registered(regions.take(REQUEST))
    inputs_of(REQUEST, grpc, region.place)
    regions.give_back(region, is_finished=True)
    other = EditRequest(b"another", "make it red")
    assert regions.take(other) is region
    assert sorted(contents(region, inputs_of(other, grpc, region.place))) == sorted(files_of(other))


def test_a_region_has_one_edit_at_a_time_and_a_larger_one_comes_for_a_larger_image():
    regions = Regions()
    first = registered(regions.take(REQUEST))
    second = registered(regions.take(REQUEST))
    assert first is not second and first.size == second.size == LEAST
    regions.give_back(first, is_finished=True)
    large = registered(regions.take(EditRequest(bytes(LEAST), "make it blue")))
    assert large is not first and large.size == 2 * LEAST
    regions.give_back(large, is_finished=True)
    assert regions.take(REQUEST) is first, "the smallest that fits"


def test_a_region_whose_edit_was_left_rests_first(clock):
    regions = Regions()
    region = registered(regions.take(REQUEST))
    regions.give_back(region, is_finished=False)
    assert registered(regions.take(REQUEST)) is not region
    clock[0] += shared_memory.GRACE
    assert regions.take(REQUEST) is region


def test_what_a_server_is_told_to_forget():
    regions = Regions()
    assert list(regions.to_unregister()) == []
    known, lost, left, never = (regions.take(REQUEST) for _ in range(4))
    for item in (known, lost, left):
        registered(item)
    assert lost.failure("Unable to find shared memory region: 'x'", "a:1").code == "UNAVAILABLE"
    for item in (known, lost, never):
        regions.give_back(item, is_finished=True)
    regions.give_back(left, is_finished=False)
    reported = []
    for name, pause in regions.to_unregister():
        reported.append((name, pause))
        with regions.unregistering(name):
            if name == left.name and len(reported) < 5:
                raise InferenceServerException(
                    f"Cannot unregister shared memory region '{name}', it is currently in use."
                )
    assert reported == [
        (known.name, 0.0),
        *((left.name, pause) for pause in (0.0, *shared_memory.PAUSES[1:4])),
    ]
    assert list(regions.to_unregister()) == []
    (shared_memory.FOLDER / never.name).unlink()


def test_a_server_that_goes_on_using_it_or_is_no_more_is_given_up():
    regions = Regions()
    region = registered(regions.take(REQUEST))
    regions.give_back(region, is_finished=True)
    assert list(regions.to_unregister()) == [(region.name, pause) for pause in shared_memory.PAUSES]
    assert list(regions.to_unregister()) == []
    regions.give_back(region, is_finished=True)
    with regions.unregistering(region.name):
        raise InferenceServerException("failed to connect to all addresses")
    assert list(regions.to_unregister()) == []


def test_no_name_is_left_even_when_the_server_cannot_open_it():
    region = Regions().take(REQUEST)
    assert (shared_memory.FOLDER / region.name).stat().st_mode & 0o777 == 0o600
    with pytest.raises(OSError), region.registering():
        raise OSError
    assert not (shared_memory.FOLDER / region.name).exists() and region.new
    assert "leave out shared_memory=True" in str(
        region.failure("Unable to open shared memory region: '/x'", "a:1")
    )
    assert region.failure("STEPS is -1", "a:1") is None


def test_a_full_file_system_is_an_error_and_no_signal(monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shared_memory.os, "posix_fallocate", full)
    before = set(shared_memory.FOLDER.iterdir())
    with pytest.raises(
        RequestError, match="cannot hold 1,048,576 bytes more .No space left on device."
    ):
        Regions().take(REQUEST)
    assert set(shared_memory.FOLDER.iterdir()) <= before


@pytest.mark.parametrize("kind", [Retouch, AsyncRetouch])
def test_it_goes_with_grpc_alone(kind):
    with pytest.raises(RequestError, match="goes with gRPC"):
        kind(http=True, shared_memory=True)
