"""JAX: a training written as one function of its state, which `jit` compiles whole."""

import numpy as np

from .peer import Peer
from .problems import data_of, layers_of


class JAX(Peer):
    """All steps of a turn in one compiled function: `lax.scan` under `jit`."""

    title, module, package = "JAX", "jax", "jax"

    def build(self, problem, seed, rate):
        import jax
        import jax.numpy as jnp

        self.data = tuple(map(jnp.asarray, data_of(problem)))
        layers = jax.tree.map(jnp.asarray, layers_of(problem, seed))
        zeros = jax.tree.map(jnp.zeros_like, layers)
        memory = (zeros, jax.tree.map(jnp.copy, zeros)) if problem.optimizer == "adam" else ()
        self.state = layers, memory, jnp.zeros((), jnp.int32)
        self.scan = jax.jit(_jax_scan(problem, rate), donate_argnums=0, static_argnums=4)

    def train(self, order):
        import jax.numpy as jnp

        rows = None if order.rows is None else jnp.asarray(order.rows, jnp.int32)

        def train():
            self.state, losses = self.scan(self.state, *self.data, rows, order.steps)
            return np.asarray(losses)  # waits for them

        return train


def _jax_scan(problem, rate):
    """Return the function of (state, X, y, rows, steps) that JAX is to compile."""
    import jax
    import jax.numpy as jnp

    activation = {"relu": jax.nn.relu, "tanh": jnp.tanh}[problem.activation]
    beta_1, beta_2, epsilon = 0.9, 0.999, 1e-8

    def loss_of(layers, X, y):
        for W, b in layers[:-1]:
            X = activation(X @ W + b)
        W, b = layers[-1]
        scores = X @ W + b
        if problem.head == "softmax":
            right = jax.nn.one_hot(y, problem.layer_sizes[-1], dtype=scores.dtype)
            return -(right * jax.nn.log_softmax(scores)).sum(axis=1).mean()
        return 0.5 * ((scores - y) ** 2).sum(axis=1).mean()

    def updated(layers, memory, t, gradient):
        tree_map = jax.tree.map
        if problem.optimizer == "sgd":
            return tree_map(lambda w, g: w - rate * g, layers, gradient), memory
        m = tree_map(lambda m, g: beta_1 * m + (1 - beta_1) * g, memory[0], gradient)
        v = tree_map(lambda v, g: beta_2 * v + (1 - beta_2) * g * g, memory[1], gradient)
        factor = rate * jnp.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        moved = tree_map(lambda w, m, v: w - factor * m / (jnp.sqrt(v) + epsilon), layers, m, v)
        return moved, (m, v)

    def scan(state, X, y, rows, steps):
        def step(state, rows):
            layers, memory, t = state
            batch = (X, y) if rows is None else (X[rows], y[rows])
            loss, gradient = jax.value_and_grad(loss_of)(layers, *batch)
            return (*updated(layers, memory, t + 1, gradient), t + 1), loss

        return jax.lax.scan(step, state, rows, length=steps)

    return scan
