"""Which weights of the first layer belong to one thread alone, so that they need not travel.

Where threads divide the rows of a batch, each reads all weights, of which the others have written
most a moment before: from the caches of other processors. Where weights are many and rows few, a
thread takes all rows through some columns of the first layer instead, and is the only one that
reads these weights and moves them; only the batch and its activations travel. Two threads of a
Zen 4 take, of the time without, 0.62 for 784-128-10 with batches of one row and Adam, 0.88 with 32
rows (0.92 with SGD), and 0.94 to 0.96 for 784-512-10 and 784-256-128-10 with 128 (float32).
"""


def owned_panels(task, layer, in_pairs):
    """Return how many panels of the first layer's weights each thread has for itself.

    Parameters
    ----------
    task : Task
    layer : Layer
        The first one.
    in_pairs : bool
        Whether panels are multiplied two by two.

    Returns
    -------
    int
        As many whole panels as all threads can have; 0 where threads share all.
    """
    if task.threads == 1 or not task.batch_sizes or task.sparse or task.by_shards:
        return 0
    # Else the batch, which all read, is more than the weights. With twice as many rows as units
    # 784-512-10 and 784-100-10 take 2 % less time, 64-100-10 and 3072-100-10 1 to 4 % more; with as
    # many rows, or half, nothing that was tried takes more (Zen 4).
    if task.batch_sizes[0] > layer.fan_out:
        return 0
    panels = layer.columns // (layer.panel_vectors * layer.lanes) // task.threads
    return panels // 2 * 2 if in_pairs else panels


def owned_columns(layer, owned, thread, threads):
    """Return the first column that a thread has for itself, the one behind them, and the rest's.

    What is left over is shared like other layers: its product by rows of the batch, its update by
    rows of the weights.
    """
    wide = owned * layer.panel_vectors * layer.lanes
    return thread * wide, (thread + 1) * wide, threads * wide
