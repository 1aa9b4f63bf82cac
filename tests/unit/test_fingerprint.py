"""A module's fingerprint: what is traced into another graph has another, and weights have no part
in it."""

import torch
from torch import nn
from torch._subclasses import FakeTensorMode

from retouch_export.fingerprint import fingerprint


class Scaled(nn.Module):
    def __init__(self, width=4, factor=2.0, seed=0, **config):
        super().__init__()
        torch.manual_seed(seed)
        self.linear = nn.Linear(width, 3)
        self.act = nn.SiLU()
        self.factor = factor
        self.register_buffer("mean", torch.randn(3))
        self.config = config

    def forward(self, tokens):
        return self.act(self.linear(tokens)) * self.factor + self.mean


class Other(Scaled):
    pass


PLAIN = fingerprint(Scaled())


def test_weights_and_notes_of_a_checkpoint_do_not_count():
    noted = Scaled(
        seed=1,
        _name_or_path="/somewhere",
        _diffusers_version="0.1",
        transformers_version="4",
        _original_object_hash=hash("of this process"),
    )
    assert fingerprint(noted) == PLAIN


def test_parameters_without_storage_are_as_others():
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert fingerprint(Scaled()) == PLAIN


def test_what_is_traced_otherwise_differs():
    swapped = Scaled()
    swapped.act = nn.ReLU()
    hooked = Scaled()
    hooked.register_forward_hook(lambda module, inputs, result: result + 1)
    wrapped = Scaled()
    wrapped.forward = wrapped.linear.forward
    constant = Scaled()
    constant.shift = torch.ones(3)
    different = (
        Scaled(width=5),
        Scaled(factor=3.0),
        Scaled(heads=2),
        Scaled().bfloat16(),
        Other(),
        swapped,
        hooked,
        wrapped,
        constant,
    )
    fingerprints = {fingerprint(module) for module in different}
    assert len(fingerprints) == len(different) and PLAIN not in fingerprints


def test_a_plain_tensor_counts_by_its_numbers():
    """torch makes a constant of it."""
    first = Scaled()
    second = Scaled()
    first.shift = torch.tensor(0.5)
    second.shift = torch.tensor(0.25)
    assert fingerprint(first) != fingerprint(second)


def test_the_order_of_children_counts():
    linears = nn.Linear(3, 3), nn.SiLU()
    assert fingerprint(nn.Sequential(*linears)) != fingerprint(nn.Sequential(*reversed(linears)))


def test_lists_that_are_replaced_by_copies_are_the_same():
    """As torch does when it traces."""
    shared = [1, 2]
    one = Scaled(sizes=shared, axes=shared)
    two = Scaled(sizes=[1, 2], axes=[1, 2])
    assert fingerprint(one) == fingerprint(two) != PLAIN
