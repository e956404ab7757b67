"""What the estimators can do beyond scikit-learn's: each option of a training."""

import logging
import re

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.compose import ColumnTransformer
from sklearn.metrics import log_loss, mean_absolute_error, mean_squared_error
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.utils.class_weight import compute_sample_weight

import fastnn
from fastnn import MLPClassifier, MLPRegressor, schedules
from fastnn.sklearn import explain, installed

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

#: As many epochs, whatever the losses do.
ALL = {"tol": 0.0, "n_iter_no_change": 10_000, "random_state": 0}


def assert_same(ours, wanted, rtol=0):
    for one, other in zip(ours.coefs_ + ours.intercepts_, wanted.coefs_ + wanted.intercepts_):
        np.testing.assert_allclose(one, other, rtol=rtol)


def differ(one, other):
    return any((a != b).any() for a, b in zip(one.coefs_, other.coefs_))


def first_step(X, y, **parameters):
    """Return the parameters before and after one step over all rows."""
    start = MLPClassifier(
        *((5,), "tanh"), max_iter=1, batch_size=len(X), alpha=0.0, learning_rate_init=1e-12, **ALL
    )
    end = MLPClassifier(*((5,), "tanh"), max_iter=1, batch_size=len(X), **parameters, **ALL)
    before, after = start.fit(X, y), end.fit(X, y)
    return [
        np.concatenate([part.ravel() for part in each.coefs_ + each.intercepts_])
        for each in (before, after)
    ]


# ------------------------------------------------------------------------------- weights of classes

WEIGHTS = {0: 2.0, 1: 0.5, 2: 1.25}


@pytest.mark.parametrize("class_weight", [WEIGHTS, "balanced"])
def test_class_weight_weighs_rows(blobs, class_weight):
    X, y = blobs[0][:100], blobs[1][:100]
    ours = MLPClassifier((6,), class_weight=class_weight, max_iter=5, **ALL).fit(X, y)
    weights = compute_sample_weight(class_weight, y)
    if installed.TAKES_WEIGHTS:
        wanted = MLPClassifier((6,), max_iter=5, **ALL)
        assert_same(ours, wanted.fit(X, y, sample_weight=weights))
        own = np.linspace(0.1, 2, len(X))
        both = MLPClassifier((6,), class_weight=class_weight, max_iter=5, **ALL)
        both.fit(X, y, sample_weight=own)
        assert_same(both, wanted.fit(X, y, sample_weight=own * weights))
    assert differ(ours, MLPClassifier((6,), max_iter=5, **ALL).fit(X, y))


@pytest.mark.parametrize("solver", ["lbfgs", "sgd"])
def test_class_weight_with_names_of_classes(blobs, solver):
    X, y = blobs
    names = np.array(["a", "b", "c"])[y]
    named = {"abc"[label]: weight for label, weight in WEIGHTS.items()}
    ours = MLPClassifier((6,), solver=solver, class_weight=named, max_iter=5, **ALL)
    wanted = MLPClassifier((6,), solver=solver, class_weight=WEIGHTS, max_iter=5, **ALL)
    assert_same(ours.fit(X, names), wanted.fit(X, y))


def test_class_weight_of_partial_fit(blobs):
    X, y = blobs
    ours = MLPClassifier((6,), class_weight=WEIGHTS, max_iter=3, **ALL)
    first = MLPClassifier((6,), class_weight=WEIGHTS, max_iter=1, **ALL).fit(X, y)
    assert_same(ours.partial_fit(X, y, classes=[0, 1, 2]), first)
    balanced = MLPClassifier(class_weight="balanced")
    with pytest.raises(ValueError, match="needs all rows at once, but partial_fit sees some: pass"):
        balanced.partial_fit(X, y, classes=[0, 1, 2])


# ------------------------------------------------------------------------------- the validation set


@pytest.mark.parametrize("early_stopping", [False, True])
def test_validation_data_of_a_classifier(blobs, early_stopping):
    X, y = blobs
    clf = MLPClassifier((8,), max_iter=7, early_stopping=early_stopping, **ALL)
    clf.set_params(restore_best=False)
    clf.fit(X[:90], y[:90], validation_data=(X[90:], y[90:]))
    assert len(clf.validation_loss_curve_) == 7
    assert clf.validation_loss_curve_[-1] == pytest.approx(
        log_loss(y[90:], clf.predict_proba(X[90:])), rel=1e-12
    )
    if early_stopping:
        assert clf.validation_scores_[-1] == clf.score(X[90:], y[90:])
    # Nothing was split off.
    assert_same(clf, MLPClassifier((8,), max_iter=7, **ALL).fit(X[:90], y[:90]))


def test_validation_data_with_weights_and_one_output(blobs):
    X, y = blobs[0], (blobs[1] == 0).astype(int)
    weights = np.linspace(0, 1, 30)
    clf = MLPClassifier((8,), max_iter=3, **ALL)
    clf.fit(X[:90], y[:90], validation_data=(X[90:], y[90:], weights))
    wanted = log_loss(y[90:], clf.predict_proba(X[90:]), sample_weight=weights)
    assert clf.validation_loss_curve_[-1] == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("outputs", [1, 2])
def test_validation_data_of_a_regressor(blobs, outputs):
    X, y = blobs[0], blobs[0][:, :outputs] ** 2
    y = y[:, 0] if outputs == 1 else y
    reg = MLPRegressor(hidden_layer_sizes=(8,), max_iter=4, **ALL)
    reg.fit(X[:90], y[:90], validation_data=(X[90:], y[90:]))
    wanted = mean_squared_error(y[90:], reg.predict(X[90:])) / 2
    assert reg.validation_loss_curve_[-1] == pytest.approx(wanted, rel=1e-12)


def test_what_early_stopping_splits_off_has_a_loss_curve_too(blobs):
    clf = MLPClassifier((8,), max_iter=6, early_stopping=True, **ALL).fit(*blobs)
    assert len(clf.validation_loss_curve_) == len(clf.validation_scores_) == clf.n_iter_
    assert MLPClassifier((8,), max_iter=2, **ALL).fit(*blobs).validation_loss_curve_ is None


def test_validation_data_of_partial_fit(blobs):
    X, y = blobs
    clf = MLPClassifier((8,), early_stopping=True, random_state=0)
    for _ in range(4):
        clf.partial_fit(X[:90], y[:90], classes=[0, 1, 2], validation_data=(X[90:], y[90:]))
    assert len(clf.validation_scores_) == len(clf.validation_loss_curve_) == 4
    assert clf.validation_scores_[-1] == clf.score(X[90:], y[90:])
    assert clf.best_validation_score_ == max(clf.validation_scores_)
    plain = MLPClassifier((8,), random_state=0)
    for _ in range(4):
        plain.partial_fit(X[:90], y[:90], classes=[0, 1, 2])
    assert_same(clf, plain)
    with pytest.raises(ValueError, match="early_stopping=True, unless validation_data is passed"):
        clf.partial_fit(X, y)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (3, TypeError, "is no tuple of two or three arrays: pass"),
        ((np.zeros((2, 2)),), TypeError, "is no tuple of two or three arrays: pass"),
        ((np.zeros((2, 3)), [0, 1]), ValueError, "^validation_data: X has 3 features, but MLPCl"),
        ((np.full((2, 2), np.nan), [0, 1]), ValueError, "^validation_data: Input X contains NaN"),
        ((np.zeros((2, 2)), [0, 1], [1]), ValueError, "^validation_data: sample_weight.shape == "),
        ((csr_array((2, 2)).tocoo().data, [0, 1]), ValueError, "^validation_data: Expected 2D"),
        ((np.zeros((2, 2)), [0]), ValueError, "X_val has 2 rows, but y_val has 1: pass one target"),
        ((np.zeros((2, 2)), [0, 9]), ValueError, r"holds the classes \[9\], which the training"),
    ],
)
def test_validation_data_that_does_not_suit(blobs, data, error, message):
    with pytest.raises(error, match=message):
        MLPClassifier((8,)).fit(*blobs, validation_data=data)


@pytest.mark.filterwarnings("ignore:X has feature names")
def test_validation_data_that_a_pipeline_did_not_transform(blobs):
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame({"a": blobs[0][:, 0], "city": "Kyoto"})
    first = ColumnTransformer([("a", "passthrough", ["a"]), ("city", OneHotEncoder(), ["city"])])
    pipeline = make_pipeline(first, MLPClassifier((8,), max_iter=2))
    with pytest.raises(
        ValueError,
        match=r"^validation_data: .*\. A Pipeline transforms X, but not X_val: pass it as the "
        r"steps before the network give it$",
    ):
        pipeline.fit(X, blobs[1], mlpclassifier__validation_data=(X, blobs[1]))


@pytest.mark.filterwarnings("ignore:X has feature names")
def test_a_message_of_several_lines_keeps_them(blobs):
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(blobs[0], columns=["a", "b"])
    with pytest.raises(
        ValueError, match=r"^validation_data: The feature.*\n.*\n- c\nA Pipeline tr"
    ):
        MLPClassifier((8,)).fit(X, blobs[1], validation_data=(X.assign(c=1), blobs[1]))


def test_validation_data_of_numbers_that_does_not_suit(blobs):
    with pytest.raises(ValueError, match=r"^validation_data: Input y contains NaN"):
        MLPRegressor().fit(*blobs, validation_data=(blobs[0], np.full(120, np.nan)))


def test_validation_data_needs_steps(blobs):
    with pytest.raises(ValueError, match="validation_data needs a solver that takes steps, but"):
        MLPClassifier(solver="lbfgs").fit(*blobs, validation_data=blobs)


@pytest.mark.parametrize(
    ("scoring", "wanted"),
    [
        ("loss", lambda reg, X, y: -mean_squared_error(y, reg.predict(X)) / 2),
        ("neg_mean_absolute_error", lambda reg, X, y: -mean_absolute_error(y, reg.predict(X))),
        (lambda reg, X, y: float(reg.predict(X)[0]), lambda reg, X, y: reg.predict(X)[0]),
        (None, lambda reg, X, y: reg.score(X, y)),
    ],
)
def test_what_a_regressor_stops_by(blobs, scoring, wanted):
    X, y = blobs[0], np.sin(blobs[0][:, 0])
    reg = MLPRegressor(
        hidden_layer_sizes=(8,), scoring=scoring, early_stopping=True, max_iter=5, **ALL
    )
    reg.set_params(restore_best=False)
    reg.fit(X[:90], y[:90], validation_data=(X[90:], y[90:]))
    assert reg.validation_scores_[-1] == pytest.approx(wanted(reg, X[90:], y[90:]), rel=1e-9)


def test_scoring_needs_early_stopping(blobs):
    with pytest.raises(ValueError, match="says what early stopping goes by, but there is none: "):
        MLPRegressor(scoring="loss").fit(*blobs)


def test_a_scorer_of_a_data_frame_warns_of_no_names(blobs):
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(blobs[0], columns=["a", "b"])
    clf = MLPClassifier((8,), early_stopping=True, scoring="roc_auc_ovr", max_iter=3, **ALL)
    assert len(clf.fit(X, blobs[1]).validation_scores_) == 3


def test_the_best_parameters_are_restored(blobs):
    X, y = blobs
    parameters = {"learning_rate_init": 0.3, "solver": "sgd", "max_iter": 12, **ALL}
    for options, curve in (
        ({"validation_data": (X[90:], y[90:])}, "validation_loss_curve_"),
        ({}, "loss_curve_"),
    ):
        clf = MLPClassifier((8,), restore_best=True, **parameters).fit(X[:90], y[:90], **options)
        best = int(np.argmin(getattr(clf, curve)))
        shorter = MLPClassifier((8,), **{**parameters, "max_iter": best + 1}).fit(X[:90], y[:90])
        assert_same(clf, shorter)
    stopped = MLPClassifier((8,), early_stopping=True, **parameters).fit(X, y)
    last = MLPClassifier((8,), early_stopping=True, restore_best=False, **parameters).fit(X, y)
    assert stopped.validation_scores_ == last.validation_scores_
    assert differ(stopped, last)


# ------------------------------------------------------------------------------------- the training


@pytest.mark.parametrize("solver", ["sgd", "adam", "adamw"])
def test_dropout(blobs, solver):
    fits = [
        MLPClassifier((30,), solver=solver, dropout=dropout, max_iter=3, **ALL).fit(*blobs)
        for dropout in (0.5, 0.5, 0.0)
    ]
    assert_same(fits[0], fits[1])
    assert differ(fits[0], fits[2])
    # Nothing is left out of predictions.
    clf, X = fits[0], blobs[0]
    scores = np.maximum(X @ clf.coefs_[0] + clf.intercepts_[0], 0) @ clf.coefs_[1]
    scores = np.exp(scores + clf.intercepts_[1])
    np.testing.assert_allclose(clf.predict_proba(X), scores / scores.sum(1, keepdims=True))


def test_dropout_leaves_hidden_units_out(blobs):
    before, after = first_step(*blobs, solver="sgd", dropout=0.9, momentum=0.0)
    still = (before == after)[: 2 * 5].reshape(2, 5).all(axis=0)
    plain = first_step(*blobs, solver="sgd", momentum=0.0)
    assert not (plain[0] == plain[1])[:10].any()
    # The steps of a unit are those of the rows that it was not left out of.
    assert not still.all()
    assert (after != plain[1]).any()


def test_clip_norm(blobs):
    step = np.subtract(*first_step(*blobs, solver="sgd", momentum=0.0, learning_rate_init=1.0))
    norm = np.linalg.norm(step)
    clipped = np.subtract(
        *first_step(*blobs, solver="sgd", momentum=0.0, learning_rate_init=1.0, clip_norm=norm / 3)
    )
    np.testing.assert_allclose(clipped, step / 3, rtol=1e-8, atol=1e-11)
    free = first_step(
        *blobs, solver="sgd", momentum=0.0, learning_rate_init=1.0, clip_norm=2 * norm
    )
    np.testing.assert_allclose(np.subtract(*free), step, rtol=1e-8, atol=1e-11)


def test_adamw_decays_the_weights_but_not_the_intercepts(blobs):
    before, adam = first_step(*blobs, solver="adam", learning_rate_init=0.1, alpha=0.0)
    _, after = first_step(
        *blobs, solver="adamw", learning_rate_init=0.1, weight_decay=0.5, alpha=0.0
    )
    weights = 2 * 5 + 5 * 3
    wanted = adam - before * np.where(np.arange(len(before)) < weights, 0.1 * 0.5, 0.0)
    np.testing.assert_allclose(after, wanted, rtol=1e-9, atol=1e-11)
    none = first_step(*blobs, solver="adamw", learning_rate_init=0.1, weight_decay=0.0, alpha=0.0)
    np.testing.assert_array_equal(none[1], adam)


@pytest.mark.parametrize(
    ("schedule", "described"),
    [
        ("cosine", schedules.Cosine()),
        ("one_cycle", schedules.OneCycle()),
        (schedules.Cosine(warmup=0.5), schedules.Cosine(warmup=0.5)),
    ],
)
@pytest.mark.parametrize("solver", ["sgd", "adam", "adamw"])
def test_schedules(blobs, schedule, described, solver):
    rates = []
    clf = MLPClassifier(
        *((8,),),
        solver=solver,
        learning_rate=schedule,
        learning_rate_init=0.01,
        callback=lambda status: rates.append(status.learning_rate),
        batch_size=50,
        max_iter=6,
        **ALL,
    )
    clf.fit(*blobs)
    factors = described.factors(np.arange(18), 3, 18, 120)
    np.testing.assert_allclose(rates, 0.01 * factors[2::3], rtol=1e-12)
    plain = MLPClassifier((8,), solver=solver.replace("w", ""), max_iter=6, batch_size=50, **ALL)
    assert differ(clf, plain.fit(*blobs))


def test_a_schedule_needs_to_know_the_length(blobs):
    with pytest.raises(ValueError, match="needs to know how long the training is, but partial_fit"):
        MLPClassifier(learning_rate="cosine").partial_fit(*blobs, classes=[0, 1, 2])
    with pytest.raises(ValueError, match=r"is an Adaptive of fastnn\.schedules: pass 'adaptive'"):
        MLPClassifier(learning_rate=schedules.Adaptive()).fit(*blobs)
    for wrong in ("step", schedules.Cosine, None):
        with pytest.raises(
            ValueError,
            match=r"'learning_rate' parameter of MLPClassifier must be a str among .*'cosine'.* or "
            r"a schedule of fastnn\.schedules, such as StepDecay\(every=10\)\. Got ",
        ):
            MLPClassifier(learning_rate=wrong).fit(*blobs)


@pytest.mark.parametrize("activation", ["leaky_relu", "silu", "gelu", ["tanh", "gelu"]])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_activations(blobs, activation, solver):
    clf = MLPClassifier((6, 5), activation, solver=solver, max_iter=200, **ALL).fit(*blobs)
    net = fastnn.Network.from_sklearn(clf)
    np.testing.assert_allclose(clf.predict_proba(blobs[0]), net.predict_proba(blobs[0]))
    if activation == ["tanh", "gelu"]:
        A = np.tanh(blobs[0] @ clf.coefs_[0] + clf.intercepts_[0])
        np.testing.assert_allclose(clf.transform(blobs[0], layer=0), A, rtol=1e-12)
    assert clf.loss_ < log_loss(blobs[1], np.full((120, 3), 1 / 3))


def test_an_activation_for_each_layer(blobs):
    one = MLPClassifier((6, 5), "tanh", max_iter=4, **ALL).fit(*blobs)
    assert_same(MLPClassifier((6, 5), ("tanh", "tanh"), max_iter=4, **ALL).fit(*blobs), one)
    assert_same(
        MLPClassifier(6, ["tanh"], **ALL).fit(*blobs), MLPClassifier(6, "tanh", **ALL).fit(*blobs)
    )


@pytest.mark.parametrize(
    ("sizes", "activation", "message"),
    [
        (
            (6, 5),
            ["tanh"] * 3,
            "activation holds 3 names, but the network has 2 hidden layers: pass",
        ),
        ((6,), ["gelu", "tanh"], "activation holds 2 names, but the network has 1 hidden layer: "),
        (6, ("gelu", "tanh"), "activation holds 2 names, but the network has 1 hidden layer: "),
        (
            [6, 5],
            ["gelu"],
            "activation holds 1 name, but the network has 2 hidden layers: pass one",
        ),
        ((6,), [], "activation holds 0 names, but the network has 1 hidden layer: pass one name "),
        ((6, 5), ["tanh", "gel"], r"activation\[1\] is 'gel', but it is one of identity, relu,"),
        ((6,), [3], r"activation\[0\] is 3, but it is one of identity, relu,"),
    ],
)
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_activations_that_do_not_suit_the_layers(blobs, sizes, activation, message, kind):
    model = kind(hidden_layer_sizes=sizes, activation=activation)
    with pytest.raises((ValueError, TypeError), match=f"^{message}"):
        model.fit(*blobs)
    found = explain(model)
    assert found.training == "nothing"
    assert re.match(f"fit would raise: {message}", found.reason)


@pytest.mark.parametrize("sizes", [(0,), (5, 0), (5, -1)])
def test_layers_of_no_units_are_explained(blobs, sizes):
    model = MLPClassifier(hidden_layer_sizes=sizes)
    with pytest.raises(ValueError, match="hidden_layer_sizes must be > 0, got"):
        model.fit(*blobs)
    found = explain(model)
    assert found.training == "nothing"
    assert found.reason.startswith("fit would raise: hidden_layer_sizes must be > 0, got [")


@pytest.mark.parametrize("classes", [2, 3])
def test_label_smoothing(blobs, classes):
    X, y = blobs[0], blobs[1] % classes
    clf = MLPClassifier(
        (6,), solver="lbfgs", label_smoothing=0.2, alpha=0.0, max_iter=300, random_state=0
    ).fit(X, y)
    target = 0.8 * np.eye(classes)[y] + 0.2 / classes
    loss = -np.mean(np.sum(target * np.log(clf.predict_proba(X)), axis=1))
    assert clf.loss_ == pytest.approx(loss, rel=1e-6)
    # Going beyond the smoothed target does not pay.
    assert np.median(clf.predict_proba(X).max(axis=1)) < 0.95
    step = MLPClassifier((6,), label_smoothing=0.2, max_iter=1, batch_size=120, **ALL).fit(X, y)
    assert differ(step, MLPClassifier((6,), max_iter=1, batch_size=120, **ALL).fit(X, y))


@pytest.mark.parametrize("solver", ["sgd", "adam", "adamw"])
def test_keep_optimizer_goes_on_with_what_it_remembers(blobs, solver):
    parameters = {"solver": solver, "shuffle": False, **ALL}
    long = MLPClassifier((6,), max_iter=6, **parameters).fit(*blobs)
    halves = MLPClassifier((6,), max_iter=3, warm_start=True, keep_optimizer=True, **parameters)
    halves.fit(*blobs).fit(*blobs)
    assert_same(halves, long)
    forgets = MLPClassifier((6,), max_iter=3, warm_start=True, **parameters)
    assert differ(forgets.fit(*blobs).fit(*blobs), long)


def test_keep_optimizer_follows_parameters_that_change(blobs):
    clf = MLPClassifier((6,), max_iter=3, warm_start=True, keep_optimizer=True, **ALL).fit(*blobs)
    clf.set_params(learning_rate_init=0.0, beta_1=0.5)
    before = [W.copy() for W in clf.coefs_]
    clf.set_params(learning_rate_init=1e-300).fit(*blobs)
    np.testing.assert_array_equal(clf.coefs_[0], before[0])
    assert (clf._optimizer.t, clf._optimizer.beta_1) == (6, 0.5)
    clf.set_params(solver="sgd", learning_rate_init=0.01, momentum=0.8).fit(*blobs)
    assert clf._optimizer.momentum == 0.8
    # What an adaptive rate has come down to stays, until another one is asked for.
    clf._optimizer.learning_rate = 0.002
    assert clf.fit(*blobs)._optimizer.learning_rate == 0.002
    clf.set_params(learning_rate_init=0.03).fit(*blobs)
    assert clf._optimizer.learning_rate == 0.03


def test_threads(blobs):
    counts = []

    def note(status):
        counts.append(fastnn.get_num_threads())

    fits = [
        MLPClassifier((64,), n_threads=n, max_iter=2, callback=note, **ALL).fit(*blobs)
        for n in (1, 2)
    ]
    assert counts == [1, 1, 2, 2]
    assert_same(*fits)
    with pytest.raises(ValueError, match="n_threads"):
        MLPClassifier(n_threads=0).fit(*blobs)


# ---------------------------------------------------------------------------------- labels, outputs


def test_partial_fit_of_several_labels(blobs):
    X, y = blobs[0], (blobs[0] > 0.5).astype(int)
    clf = MLPClassifier((8,), random_state=0)
    for _ in range(3):
        clf.partial_fit(X, y)
    assert clf.predict(X).shape == y.shape
    wanted = MLPClassifier((8,), random_state=0)
    for _ in range(3):
        wanted.partial_fit(X, y, classes=[0, 1])
    assert_same(clf, wanted)
    with pytest.raises(ValueError, match="classes holds 3 labels, but y has 2 columns: leave"):
        MLPClassifier().partial_fit(X, y, classes=[0, 1, 2])


# --------------------------------------------------------------------------------------- transform


def test_transform_gives_the_activations_of_a_hidden_layer(blobs):
    X, y = blobs
    clf = MLPClassifier((6, 4), max_iter=3, **ALL).fit(X, y)
    first = np.maximum(X @ clf.coefs_[0] + clf.intercepts_[0], 0)
    second = np.maximum(first @ clf.coefs_[1] + clf.intercepts_[1], 0)
    np.testing.assert_allclose(clf.transform(X, layer=0), first, rtol=1e-12)
    np.testing.assert_allclose(clf.transform(X), second, rtol=1e-12)
    np.testing.assert_allclose(clf.transform(X, layer=-2), first, rtol=1e-12)
    for layer in (2, -3):
        with pytest.raises(ValueError, match="but the network has 2 hidden layers: pass 0"):
            clf.transform(X, layer=layer)
    names = list(clf.get_feature_names_out())
    assert names == [f"mlpclassifier{i}" for i in range(4)]


def test_layers_of_any_width_become_data_frames(blobs):
    pandas = pytest.importorskip("pandas")
    X, y = blobs
    clf = MLPClassifier((6, 4), max_iter=3, **ALL).fit(X, y)
    plain = [clf.transform(X, layer=layer) for layer in (0, 1)]
    clf.set_output(transform="pandas")
    for layer, wanted in enumerate(plain):
        frame = clf.transform(X, layer=layer)
        assert isinstance(frame, pandas.DataFrame)
        assert list(frame) == [f"mlpclassifier{i}" for i in range(wanted.shape[1])]
        np.testing.assert_array_equal(frame, wanted)
    assert isinstance(clf.set_output(transform="default").transform(X, 0), np.ndarray)


@pytest.mark.parametrize("layer", [None, 0.0, "0", True])
def test_a_layer_that_is_no_number_of_one(blobs, layer):
    clf = MLPClassifier((6,), max_iter=1).fit(*blobs)
    with pytest.raises(TypeError, match=f"layer is {layer!r}, but it is the number of a hidden"):
        clf.transform(blobs[0], layer=layer)


def test_transform_without_hidden_layers(blobs):
    clf = MLPClassifier((), max_iter=1).fit(*blobs)
    with pytest.raises(ValueError, match="has no hidden layers: fit it with some"):
        clf.transform(blobs[0])


def test_a_network_feeds_a_pipeline(blobs):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    pipeline = make_pipeline(MLPClassifier((6, 4), max_iter=30, **ALL), LogisticRegression())
    assert pipeline.fit(*blobs).score(*blobs) > 0.8
    pandas = pytest.importorskip("pandas")
    pipeline.set_output(transform="pandas")
    assert isinstance(pipeline[:-1].transform(blobs[0]), pandas.DataFrame)


# ---------------------------------------------------------------------------- words on the training


def test_callback_sees_each_epoch_and_may_end_the_fit(blobs):
    seen = []

    def note(status):
        seen.append(status)
        return status.epoch == 4

    clf = MLPClassifier((6,), callback=note, max_iter=9, **ALL).fit(*blobs)
    assert [status.epoch for status in seen] == [1, 2, 3, 4]
    assert clf.n_iter_ == 4
    assert [status.loss for status in seen] == clf.loss_curve_
    assert {status.max_iter for status in seen} == {9}
    assert all(status.samples_per_second > 0 for status in seen)
    shorter = MLPClassifier((6,), max_iter=4, **ALL).fit(*blobs)
    assert_same(clf, shorter)


def test_callback_of_partial_fit(blobs):
    seen = []
    clf = MLPClassifier((6,), callback=lambda status: seen.append(status.loss), random_state=0)
    for _ in range(2):
        clf.partial_fit(*blobs, classes=[0, 1, 2])
    assert seen == clf.loss_curve_


def test_verbose_tells_losses_scores_and_pace(blobs, capsys):
    X, y = blobs
    MLPClassifier((6,), verbose=True, early_stopping=True, max_iter=2, **ALL).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Iteration 1, loss = ")
    assert ", validation loss = " in lines[0]
    assert lines[0].endswith(" samples/s")
    assert lines[1].startswith("Validation score: ")
    assert len(lines) == 4


class Own(MLPClassifier):
    """A subclass that changes the arithmetic."""

    def _backprop(self, *args):
        return super()._backprop(*args)


def test_an_option_of_the_engine_s_is_never_left_out_silently(blobs, caplog):
    for needed in (
        {"dropout": 0.5},
        {"label_smoothing": 0.1},
        {"activation": "gelu"},
        {"solver": "adamw"},
        {"learning_rate": "cosine"},
        {"callback": print},
    ):
        with pytest.raises(ValueError, match=f"{next(iter(needed))} needs fastnn's engine, which"):
            Own(**needed).fit(*blobs)
    with pytest.raises(ValueError, match="validation_data needs fastnn's engine, which cannot"):
        Own().fit(*blobs, validation_data=blobs)
    with caplog.at_level(logging.WARNING, "fastnn.sklearn"):
        Own(max_iter=2, **ALL).fit(*blobs)
    assert "scikit-learn's own code trains this Own, since Own has its own _backprop" in caplog.text
