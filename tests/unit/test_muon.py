"""The optimizer of hidden layers."""

import torch
from torch import nn

from training.muon import Muon, optimizers, orthogonal


def test_singular_values_become_one_and_vectors_stay():
    torch.manual_seed(0)
    for shape in ((24, 96), (96, 24), (32, 32)):
        matrix = torch.randn(shape)
        left, _, right = torch.linalg.svd(matrix, full_matrices=False)
        ours = orthogonal(matrix)
        assert ours.shape == matrix.shape
        values = (left.T @ ours @ right.T).diagonal()
        assert values.min() > 0.3 and values.max() < 1.3
        assert torch.linalg.norm(ours - left @ values.diag() @ right) < 1e-3


def test_it_finds_a_linear_map():
    torch.manual_seed(0)
    sought = torch.randn(16, 16)
    fitted = nn.Parameter(torch.zeros(16, 16))
    optimizer = Muon([fitted], weight_decay=0.0)
    inputs = torch.randn(64, 16)
    for step in range(300):
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / 300)
        loss = ((inputs @ (fitted - sought).T) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 1e-3


def test_it_does_not_depend_on_the_scale_of_the_gradient():
    matrices = [nn.Parameter(torch.zeros(8, 4)) for _ in range(2)]
    gradient = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    for matrix, scale in zip(matrices, (1.0, 1000.0)):
        optimizer = Muon([matrix], weight_decay=0.0)
        optimizer.param_groups[0]["lr"] = 0.1
        matrix.grad = scale * gradient
        optimizer.step()
    torch.testing.assert_close(*matrices)


def test_only_hidden_matrices_take_it():
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.x_embedder = nn.Linear(4, 8)
            self.hidden = nn.Linear(8, 8)
            self.frozen = nn.Linear(8, 8).requires_grad_(False)
            self.norm = nn.LayerNorm(8)
            self.words = nn.Embedding(5, 8)
            self.proj_out = nn.Linear(8, 4)

    network = Network()
    muon, adam = optimizers(network)
    assert [*muon.param_groups[0]["params"]] == [network.hidden.weight]
    rest = [parameter for group in adam.param_groups for parameter in group["params"]]
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    assert len(rest) + 1 == len(trained)
    (without_decay,) = [group for group in adam.param_groups if group["weight_decay"] == 0]
    assert all(parameter.ndim == 1 for parameter in without_decay["params"])


def test_without_hidden_layers_there_is_adam_alone():
    assert len(optimizers(nn.Embedding(3, 4))) == 1
