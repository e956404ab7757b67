"""What a trainer's file holds, between its network and its training: no file is opened here."""

from .engine.position import Position
from .files.saved import Saved
from .hyperparameters import Hyperparameters
from .network import Network


class Checkpointed(Saved):
    """A :class:`Trainer` as its file knows it."""

    __slots__ = ()

    def _contents(self):
        # What describes the network lies on top, so that Network.load reads it too.
        description, arrays = self.network._contents()
        description |= {
            "trainer": self._hyperparameters.to_json(),
            "seed": self._seed,
            "runs": self._runs,
            "n_iter": self.n_iter_,
            "best_epoch": self.best_epoch_,
            "position": None,
        }
        arrays.update({f"history.{name}": array for name, array in self.history.items()})
        if self._progress is not None:
            position, state = self._progress
            description["position"] = position.to_json()
            arrays.update({f"state.{name}": array for name, array in state.items()})
            if position.best_params is not None:
                arrays["best_params"] = position.best_params
        return description, arrays

    @classmethod
    def resume(cls, path):
        """Read a checkpoint; `fit` with the same data then goes on, to the same bits.

        It is :meth:`load`, under the name of what it is for.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        Trainer
        """
        return cls._read(path)

    @classmethod
    def _from_contents(cls, description, arrays):
        network = Network._from_contents(description, arrays)
        hyperparameters = Hyperparameters.from_json(description["trainer"])
        trainer = cls(network, **vars(hyperparameters), random_state=0)
        trainer._seed, trainer._runs = description["seed"], description["runs"]
        trainer._n_iter = description["n_iter"]
        trainer._best_epoch = description["best_epoch"]
        trainer._history = {name: arrays[f"history.{name}"] for name in trainer.history}
        if description["position"] is not None:
            best = arrays.get("best_params")
            state = {
                name.removeprefix("state."): array
                for name, array in arrays.items()
                if name.startswith("state.")
            }
            trainer._progress = Position(**description["position"], best_params=best), state
        trainer._read_at_its_end = trainer._progress is None and trainer._runs > 0
        return trainer
