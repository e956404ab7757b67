"""What peers.py compares: the networks, and how each library trains one. One file a library."""

from .jax_scan import JAX
from .ours import Fastnn, NumPy
from .peer import PeerError
from .problems import NETWORKS, RATE, ROWS, Problem, data_of, order_of, training_flops
from .pytorch import BFloat16PyTorch, CompiledPyTorch, PyTorch
from .scikit_learn import ScikitLearn

__all__ = [
    "NETWORKS",
    "PEERS",
    "RATE",
    "ROWS",
    "PeerError",
    "Problem",
    "data_of",
    "order_of",
    "training_flops",
]

#: In the order of their turns and columns.
PEERS = {
    "fastnn": Fastnn,
    "numpy": NumPy,
    "sklearn": ScikitLearn,
    "torch": PyTorch,
    "torch.compile": CompiledPyTorch,
    "jax": JAX,
    "torch bf16": BFloat16PyTorch,
}
