"""Files are believed only after all of them is checked: a wrong one is refused, by its name."""

import copy
import json
import math
import random
import struct
import warnings

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from fastnn import (
    Network,
    Trainer,
    TwoLayerNet,
    cs231n,
    optimizers,
    schedules,
)
from fastnn.engine.loop import CompiledLoop
from fastnn.files import container, formats

DATA = np.random.RandomState(0).randn(50, 3).astype(np.float32), np.arange(50) % 2


def network():
    return Network((3, 4, 2), random_state=0)


def options():
    return {
        "optimizer": "adam",
        "schedule": schedules.Adaptive(),
        "batch_size": 7,
        "max_iter": 6,
        "max_norm": 1.0,
        "class_weight": {0: 1.5, 1: 1.0},
        "early_stopping": True,
        "random_state": 0,
    }


def interrupted(path, steps):
    """Write the checkpoint of a training that has done so many steps."""
    trainer = Trainer(network(), **options())
    drive = CompiledLoop.run

    def run(loop, items, records):
        # What is done is done; then Ctrl-C.
        drive(loop, items, records)
        if items.steps[-1] + 1 >= steps:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CompiledLoop, "run", run)
        with pytest.raises(KeyboardInterrupt):
            trainer.fit(*DATA, checkpoint=path)


def solver(**options):
    np.random.seed(0)
    net = cs231n.FullyConnectedNet([4], 3, 2, weight_scale=0.5)
    X, y = DATA
    data = {"X_train": X[:40], "y_train": y[:40], "X_val": X[40:], "y_val": y[40:]}
    return cs231n.Solver(net, data, update_rule="adam", batch_size=7, num_epochs=2, **options)


def restored(path):
    """Read the checkpoint of a Solver."""
    solver().restore(path)


def checkpointed(path):
    """Write the checkpoint of a Solver's second epoch."""
    solver(verbose=False, checkpoint_name=path).train()
    path.with_name(f"{path.name}_epoch_2.safetensors").rename(path)
    for epoch in range(2):
        path.with_name(f"{path.name}_epoch_{epoch}.safetensors").unlink()


FILES = {
    "network": (Network.load, lambda path: network().save(path)),
    "not begun": (Trainer.resume, lambda path: Trainer(network(), **options()).save(path)),
    "begun": (Trainer.resume, lambda path: interrupted(path, 1)),
    "half": (Trainer.resume, lambda path: interrupted(path, 22)),
    "end": (
        Trainer.resume,
        lambda path: Trainer(network(), **options()).fit(*DATA, checkpoint=path),
    ),
    "two layers": (
        TwoLayerNet.load,
        lambda path: TwoLayerNet(3, 4, 2, dtype=np.float32, random_state=0).save(path),
    ),
    "course's two layers": (
        cs231n.TwoLayerNet.load,
        lambda path: cs231n.TwoLayerNet(3, 4, 2, reg=0.1, random_state=0).save(path),
    ),
    "course's layers": (
        cs231n.FullyConnectedNet.load,
        lambda path: cs231n.FullyConnectedNet([4], 3, 2, dropout=0.5, seed=1).save(path),
    ),
    "course's Solver": (restored, checkpointed),
}
NAMES = {
    Network.load: "Network",
    Trainer.resume: "Trainer",
    TwoLayerNet.load: "TwoLayerNet",
    cs231n.TwoLayerNet.load: "cs231n.TwoLayerNet",
    cs231n.FullyConnectedNet.load: "cs231n.FullyConnectedNet",
    restored: "cs231n.Solver",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for name, (_, write) in FILES.items():
        write(folder / name)
    return folder


def parts_of(path):
    with safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return json.loads(file.metadata()["description"]), arrays


def write(path, name, description, arrays):
    """Write a file with a checksum that fits, whatever it holds."""
    kind = NAMES[FILES[name][0]]
    container.write(path, f"fastnn.{kind}", description, arrays)


def refusal(path, name):
    """Return what is said of a file that must be refused."""
    load = FILES[name][0]
    with pytest.raises(ValueError, match=r"pass |read it with the fastnn") as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert type(caught.value) is ValueError
    return str(caught.value)


@pytest.mark.parametrize("name", FILES)
def test_the_files_that_these_are_variations_of(files, tmp_path, name):
    write(tmp_path / "same", name, *parts_of(files / name))
    for path in (files / name, tmp_path / "same"):
        FILES[name][0](path)


def test_the_half_trained_is_in_the_midst(files):
    description, arrays = parts_of(files / "half")
    assert 0 < description["n_iter"] < 6
    assert description["best_epoch"] > 0
    assert {"best_params", "state.memory_1", "state.memory_2"} <= set(arrays)


def test_a_file_that_does_not_say_which_root_adam_adds_to_is_read(files, tmp_path):
    description, arrays = parts_of(files / "half")
    del description["trainer"]["optimizer"][1]["corrected_root"]
    write(tmp_path / "older", "half", description, arrays)
    assert Trainer.resume(tmp_path / "older").optimizer == optimizers.Adam()


# ------------------------------------------------------------------------------- damaged bytes


@pytest.mark.parametrize("name", FILES)
def test_every_flipped_bit(files, tmp_path, name):
    content, chance = (files / name).read_bytes(), random.Random(0)
    (header,) = struct.unpack("<Q", content[:8])
    # Each byte of the sizes and of the metadata, and one in seven of the numbers.
    places = [*range(8 + header), *range(8 + header, len(content), 7), len(content) - 1]
    for place in places:
        changed = bytearray(content)
        changed[place] ^= 1 << chance.randrange(8)
        (tmp_path / "changed").write_bytes(changed)
        refusal(tmp_path / "changed", name)


@pytest.mark.parametrize("name", FILES)
def test_bytes_that_are_cut_moved_or_overwritten(files, tmp_path, name):
    content, chance, path = (files / name).read_bytes(), random.Random(1), tmp_path / "changed"
    for _ in range(150):
        first, second = sorted(chance.sample(range(len(content)), 2))
        third = chance.randrange(second, len(content) + 1)
        changes = (
            content[:first],
            content[:first] + content[second:],
            content[:first] + bytes(second - first) + content[second:],
            content[:first] + chance.randbytes(second - first) + content[second:],
            content[:first] + content[second:third] + content[first:second] + content[third:],
            content + content[first:second],
        )
        for changed in changes:
            if changed != content:
                path.write_bytes(changed)
                refusal(path, name)


def test_a_header_that_declares_more_than_there_is(files, tmp_path):
    content, path = (files / "half").read_bytes(), tmp_path / "changed"
    for size in (2**63 - 1, 2**63, 2**64 - 1, 2**40, len(content), 0):
        path.write_bytes(struct.pack("<Q", size) + content[8:])
        assert "is not a safetensors file" in refusal(path, "half")
    for shape, end in (([2**62], 2**64), ([2**40], 2**42), ([2**33, 2**33], 8), ([-1], 4)):
        header = json.dumps({"params": {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}})
        path.write_bytes(struct.pack("<Q", len(header)) + header.encode() + bytes(8))
        assert "is not a safetensors file" in refusal(path, "half")
    header = b"[" * 100_000
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    assert "is not a safetensors file" in refusal(path, "half")


# ----------------------------------------------------------------- wrong, with a right checksum


def leaves(value, place=()):
    """Return where in a description something stands, each dict and list included."""
    yield place
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from leaves(value[key], (*place, key))


def changed_at(description, place, change):
    description = copy.deepcopy(description)
    *way, last = place
    inside = description
    for key in way:
        inside = inside[key]
    change(inside, last)
    return description


HOSTILE = (
    *(None, True, False, "", "x", "1", [], {}, [1], {"a": 1}, -1, 0, 1, 2, 0.5, 1.0, -0.5, 1e300),
    *(10**9, 2**31, 2**63, 10**30, 10**400, math.inf, -math.inf, math.nan),
)


@pytest.mark.parametrize("name", FILES)
def test_any_value_in_any_place(files, tmp_path, name):
    description, arrays = parts_of(files / name)
    path, accepted = tmp_path / "changed", 0
    for place in leaves(description):
        if not place:
            continue
        for value in HOSTILE:

            def assign(inside, last, value=value):
                inside[last] = value

            write(path, name, changed_at(description, place, assign), arrays)
            loaded = what_happens(lambda: FILES[name][0](path))
            if isinstance(loaded, ValueError):
                assert str(path) in str(loaded), (place, value)
                continue
            accepted += 1
            if isinstance(loaded, Trainer):
                assert_sound(loaded, (place, value))
    assert accepted


def what_happens(function):
    try:
        return function()
    except ValueError as error:
        return error


def assert_sound(trainer, change):
    """Go on with a training that was read: it ends as any, or says what is wrong with the data."""
    largest = 100
    if trainer.max_iter > largest:
        return  # an honest wish, if a long one
    before = trainer.n_iter_
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # 1e300 is much, but a number
        history = what_happens(lambda: trainer.fit(*DATA))
    if isinstance(history, ValueError):
        return
    losses = history["step_loss"]
    assert before <= trainer.n_iter_ <= max(before, trainer.max_iter), change
    assert len(history["loss"]) == trainer.n_iter_
    # Of steps that were never done. A learning rate of 10**9 may well end there, though.
    assert change[0][0] == "trainer" or not (losses == 0).any(), change


@pytest.mark.parametrize("name", FILES)
def test_keys_that_are_missing_or_unknown(files, tmp_path, name):
    description, arrays = parts_of(files / name)
    for place in leaves(description):
        inside = description
        for key in place:
            inside = inside[key]
        if place[-1:] in (("class_weight",), ("optim_configs",)):
            continue  # any class or parameter may be in it, or not
        if isinstance(inside, dict):
            unknown = changed_at(
                {"": description}, ("", *place), lambda d, k: d[k].update(unknown=1)
            )
            write(tmp_path / "changed", name, unknown[""], arrays)
            assert "does not belong" in refusal(tmp_path / "changed", name)
        if place and place[-2:-1] != ("class_weight",) and place[-1] != "corrected_root":
            missing = changed_at(description, place, lambda d, k: d.pop(k))
            write(tmp_path / "changed", name, missing, arrays)
            refusal(tmp_path / "changed", name)


@pytest.mark.parametrize("name", FILES)
def test_arrays_of_another_kind(files, tmp_path, name):
    description, arrays = parts_of(files / name)
    for array_name, array in arrays.items():
        changes = [
            array.astype(np.int64 if array.dtype.kind == "f" else np.float64),
            array.astype(np.float64 if array.dtype == np.float32 else np.float32),
            array.astype(np.float16),
            array.astype(bool),
            np.zeros(array.size + 1, array.dtype),
            np.zeros((1, *array.shape), array.dtype),
            np.zeros((*array.shape, 1), array.dtype),
            None,
        ]
        if array.size:
            changes.append(np.zeros(0, array.dtype))
        for changed in changes:
            others = {k: a for k, a in arrays.items() if k != array_name}
            if changed is not None:
                others[array_name] = changed
            elif array_name == "state.sums":
                continue  # the twin of the compiled loop keeps none
            if (
                array_name == "state.sums"
                and np.ndim(changed) == 1
                and changed.dtype == array.dtype
            ):
                continue  # their number depends on the processor
            write(tmp_path / "changed", name, description, others)
            refusal(tmp_path / "changed", name)
    write(tmp_path / "changed", name, description, arrays | {"more": np.zeros(3)})
    assert "more does not belong into it" in refusal(tmp_path / "changed", name)


def in_position(**changes):
    return lambda d, a: d["position"].update(changes)


def in_trainer(**changes):
    return lambda d, a: d["trainer"].update(changes)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (in_position(done=10**9), "position.done is 1000000000, but the training has 48 items"),
        (
            in_position(done=46),
            r"after 5 epochs and \d+ steps, but it holds \d epochs and \d+ steps",
        ),
        (in_position(done=48), r"after 6 epochs and 42 steps, but it holds \d epochs and \d+"),
        (in_position(steps_per_epoch=99), "position.steps_per_epoch is 99"),
        (in_position(items_per_epoch=9), r"after \d epochs and \d+ steps, but it holds"),
        (in_position(ended=7), "position.ended is 7, but at most is"),
        (in_position(epochs_without_improvement=7), "position.epochs_without_improvement is 7"),
        (in_position(best_epoch=1), r"position.best_epoch is 1, but best_epoch \d"),
        (in_position(factor=-0.5), r"position.factor is -0.5, outside of \[0, 1\]"),
        (in_position(factor=2.0), r"position.factor is 2.0, outside of \[0, 1\]"),
        (in_position(skip_zeros=None), "position.skip_zeros is None, but needed is true or false"),
        (in_position(seed=2**31), "position.seed is 2147483648, but at most"),
        (in_position(lowest=math.nan), "position.lowest is nan, but needed is a finite number"),
        (in_trainer(max_iter=1), "position.done is .* but the training has 8 items"),
        (in_trainer(batch_size=True), "trainer.batch_size is True, but needed is an integer"),
        (in_trainer(alpha="0"), "trainer.alpha is '0', but needed is a finite number"),
        (in_trainer(alpha=math.inf), "trainer.alpha is inf"),
        (in_trainer(dropout=2.0), "dropout is 2.0, but it must be below 1"),
        (in_trainer(monitor="luck"), "monitor is 'luck', but it is one of loss, score"),
        (in_trainer(optimizer=["SGD", {"learning_rate_init": 0.1}]), None),
        (in_trainer(optimizer=["Nadam", {}]), "trainer.optimizer is 'Nadam', but needed is one of"),
        (in_trainer(optimizer=["SGD", {}]), "optimizer.SGD.learning_rate_init is missing"),
        (in_trainer(optimizer=["SGD", {"learning_rate_init": -1}]), "learning_rate_init is -1.0"),
        (in_trainer(optimizer="adam"), "trainer.optimizer is 'adam', but needed is a list"),
        (in_trainer(class_weight={"a": 1.0}), "a class of trainer.class_weight is 'a'"),
        (lambda d, a: d.update(best_epoch=9), r"best_epoch is 9, but n_iter is \d"),
        (lambda d, a: d.update(layer_sizes=[10**9] * 9), "params has shape"),
        (lambda d, a: d.update(layer_sizes=[2**62, 2**62]), "params has shape"),
        (lambda d, a: d.update(layer_sizes=[3]), "layer_sizes is"),
        (lambda d, a: d.update(head="mse"), "head is 'mse', but it is one of"),
        (lambda d, a: d.update(dtype="int64"), "dtype is 'int64', but needed is float32 or"),
        (lambda d, a: a.pop("best_params"), "it has no best_params"),
        (lambda d, a: a.pop("state.memory_2"), "it has no state.memory_2"),
        (lambda d, a: a["state.rates"].fill(-1), "state.rates holds what is below 0"),
        (lambda d, a: a["history.learning_rate"].fill(-1), "learning_rate holds what is below 0"),
        (lambda d, a: a["state.val_correct"].fill(-1), "state.val_correct holds what is below 0"),
        (lambda d, a: a.update(input_scale=np.zeros(3)), "input_scale holds 0"),
        (
            lambda d, a: a.update(input_mean=np.full(3, np.nan)),
            "input_mean holds nan in column 0, but it must be finite",
        ),
        (lambda d, a: d.update(position=None), r"n_iter is \d, but no run was ended"),
    ],
)
def test_what_does_not_fit_together(files, tmp_path, change, match):
    description, arrays = parts_of(files / "half")
    change(description, arrays)
    write(tmp_path / "changed", "half", description, arrays)
    if match is None:  # a training may go on with another optimiser that remembers no more
        Trainer.resume(tmp_path / "changed")
        return
    with pytest.raises(ValueError, match=match) as caught:
        Trainer.resume(tmp_path / "changed")
    assert str(caught.value).startswith(f"{tmp_path / 'changed'} is damaged, or was not written by")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"format": "other"}, "has the format 'other', but needed is fastnn.Trainer: pass one"),
        ({"format": None}, "has the format None"),
        ({"version": "1"}, "of version '1' .* reads version '2': read it with the fastnn that"),
        ({"version": None}, "of version None"),
        ({"digest": None}, "it has no digest"),
        ({"digest": "0" * 32}, "its checksum does not fit what it holds"),
        ({"description": None}, "it has no description"),
        ({"description": ""}, "its description is no JSON"),
        ({"description": "{"}, "its description is no JSON"),
        ({"description": "[]"}, "its description is a list"),
        ({"description": "[" * 10**5}, "its description is nested too deeply"),
        ({"description": '{"a":' * 10**5}, "its description is nested too deeply"),
        ({"description": "9" * 10**5}, "its description is no JSON"),
    ],
)
def test_other_metadata(files, tmp_path, change, match):
    with safe_open(files / "half", framework="numpy") as file:
        metadata = file.metadata() | change
    metadata = {name: value for name, value in metadata.items() if value is not None}
    save_file(parts_of(files / "half")[1], tmp_path / "changed", metadata)
    with pytest.raises(ValueError, match=match):
        Trainer.resume(tmp_path / "changed")


def test_files_of_another_kind(files, tmp_path):
    for load, kind in NAMES.items():
        kind = kind.removeprefix("cs231n.")
        for name, (other, _) in FILES.items():
            if other == load or (load == Network.load and other == Trainer.resume):
                load(files / name)
            else:
                with pytest.raises(ValueError, match=rf"needed is .*: pass one written by {kind}"):
                    load(files / name)
        for missing in (tmp_path / "missing", tmp_path, "/dev/null"):
            with pytest.raises(FileNotFoundError, match=rf"is no file: pass one written by {kind}"):
                load(missing)
        (tmp_path / "text").write_text("nothing")
        with pytest.raises(ValueError, match=rf"is not a safetensors file .*written by {kind}"):
            load(tmp_path / "text")
        with pytest.raises(TypeError, match="path is None, but it is the path of a file"):
            load(None)
        with pytest.raises(ValueError, match="no path holds a NUL"):
            load("a\0b")


def test_what_a_diverged_training_leaves_is_read_with_a_warning(tmp_path):
    path, net = tmp_path / "file", TwoLayerNet(3, 4, 2)
    net.params["b2"][1] = np.inf
    net.save(path)
    with pytest.warns(RuntimeWarning, match="holds parameters that are not finite") as caught:
        assert TwoLayerNet.load(path).params["b2"][1] == np.inf
    assert caught[0].filename == __file__
    trainer = Trainer(network(), "sgd", schedule="constant", max_iter=2)
    trainer.network.params[0] = np.nan
    trainer.save(path)
    for load in (Trainer.resume, Network.load):
        with pytest.warns(RuntimeWarning, match="holds parameters that are not finite") as caught:
            load(path)
        assert caught[0].filename == __file__
    diverged = solver(verbose=False, checkpoint_name=path)
    diverged.model.params["W1"][0, 0] = np.nan
    with pytest.warns(RuntimeWarning, match="the training has diverged"):
        diverged.train()
    with pytest.warns(RuntimeWarning, match="holds parameters that are not finite") as caught:
        restored(f"{path}_epoch_2.safetensors")
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    "changed",
    [
        {"optimizer": optimizers.SGD(1e30), "schedule": "constant", "early_stopping": False},
        {"optimizer": optimizers.SGD(1e30), "schedule": "constant"},
        {"schedule": schedules.StepDecay(every=1, factor=1e200)},
        {"schedule": schedules.Adaptive(n_iter_no_change=1, tol=1e9, divisor=1e300, lowest=0)},
        {"n_iter_no_change": 10**30, "batch_size": 10**30},
        {"max_iter": 0},
        {"max_iter": 1},
        {"class_weight": {0: 1e-300, 1: 1}},
        {"early_stopping": False, "class_weight": "balanced", "replacement": True},
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_whatever_a_training_writes_is_read(tmp_path, changed):
    path, read = tmp_path / "file", []
    trainer = Trainer(network(), **options() | changed)

    def again(status=None):
        trainer.save(path)
        read.extend(load(path) for load in (Trainer.resume, Network.load))

    again()
    for _ in range(2):
        trainer.fit(*DATA, callback=again)
        again()
    assert len(read) >= 6


def test_the_description_has_all_that_a_trainer_takes():
    import inspect

    arguments = set(inspect.signature(Trainer).parameters) - {"network", "random_state"}
    assert set(formats.ARGUMENTS) == arguments
