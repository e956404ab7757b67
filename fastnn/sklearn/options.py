"""What a perceptron of fastnn can do beyond scikit-learn's, as a fit takes it."""

from typing import Any, NamedTuple


class Options(NamedTuple):
    """The options of a fit; the defaults are those of scikit-learn's own perceptrons."""

    dropout: float = 0.0
    clip_norm: float | None = None
    label_smoothing: float = 0.0
    weight_decay: float | None = None  #: of AdamW; None for the solver's own rule
    schedule: Any = None  #: one of fastnn.schedules, None for scikit-learn's
    weights: Any = None  #: of the rows, where scikit-learn's fit takes none
    #: ``validation(X)`` returns a user's validation set for the rows X; None to split them off.
    validation: Any = None
    watches_loss: bool = False  #: the loss on the validation set is wanted
    restore_best: Any = "auto"
    keep_optimizer: bool = False
    n_threads: int | None = None
    #: ``watch()`` returns what is called with the fit at each epoch's end; a true answer ends it.
    watch: Any = None
    tells_more: bool = False  #: `verbose` also tells the validation loss and the pace


def options_of(estimator):
    """Return the options of a fit of an estimator."""
    own = getattr(estimator, "_fit_options", None)
    return Options() if own is None else own()
