"""PyTorch: eager, through `torch.compile`, and with products in bfloat16."""

import os
import shutil

from .peer import Peer
from .problems import data_of, layers_of


class PyTorch(Peer):
    """Eager, with the fused optimisers."""

    title, module, package = "PyTorch", "torch", "torch"
    #: Its Adam adds epsilon to the corrected root of the second moment: in the first steps, which
    #: divide gradients by their own size, that shows for those near zero.
    tolerance = 5e-3

    def build(self, problem, seed, rate):
        import torch
        from torch import nn

        torch.set_num_threads(self.threads)
        modules = []
        for W, b in layers_of(problem, seed):
            linear = nn.Linear(*W.shape)
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(W.T))
                linear.bias.copy_(torch.from_numpy(b))
            modules += [linear, {"relu": nn.ReLU, "tanh": nn.Tanh}[problem.activation]()]
        self.model = nn.Sequential(*modules[:-1])
        optimizer = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[problem.optimizer]
        self.optimizer = optimizer(self.model.parameters(), lr=rate, fused=True)
        self.loss = self.make_loss(problem.head == "softmax")
        self.data = tuple(map(torch.from_numpy, data_of(problem)))

    def make_loss(self, softmax):
        """Return the function of a batch and its targets that is differentiated."""
        from torch.nn.functional import cross_entropy, mse_loss

        model = self.model
        if softmax:
            return lambda batch, target: cross_entropy(model(batch), target)
        return lambda batch, target: 0.5 * mse_loss(model(batch), target)

    def train(self, order):
        import torch

        (X, y), optimizer = self.data, self.optimizer
        whole = order.rows is None
        batches = [None] * order.steps if whole else list(torch.from_numpy(order.rows))

        def train():
            losses = []
            for rows in batches:
                batch, target = X, y
                if rows is not None:
                    batch, target = X.index_select(0, rows), y.index_select(0, rows)
                optimizer.zero_grad()
                loss = self.loss(batch, target)
                loss.backward()
                optimizer.step()
                losses.append(loss.detach())
            return torch.stack(losses).numpy()

        return train


class CompiledPyTorch(PyTorch):
    """The network and its loss, forward and backward, through `torch.compile`."""

    title, package = "torch.compile", "torch (and a C++ compiler)"

    @classmethod
    def is_there(cls):
        return super().is_there() and shutil.which(os.environ.get("CXX", "g++")) is not None

    def make_loss(self, softmax):
        import torch

        torch.compiler.reset()  # a function is compiled for a few networks only
        return torch.compile(super().make_loss(softmax), fullgraph=True, dynamic=False)


class BFloat16PyTorch(PyTorch):
    """Eager, with products in bfloat16 by autocast: less exact, and for information only."""

    title, tolerance = "PyTorch bf16", 0.1

    def make_loss(self, softmax):
        import torch

        loss = super().make_loss(softmax)

        def rounded(batch, target):
            with torch.autocast("cpu", torch.bfloat16):
                return loss(batch, target)

        return rounded
