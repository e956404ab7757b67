"""Saving and loading, the same for everything that a user may keep in a file."""

from . import formats


class Saved:
    """Base of what has a file: all of it, under a checksum, in the safetensors format.

    A class says which format its files have (`_format`), which others it can be read from as well
    (`_readable`, its own included), what goes in (`_contents`) and how to make one of that
    (`_from_contents`).
    """

    __slots__ = ()

    def save(self, path):
        """Write all of it to a safetensors file, whole or not at all, with a checksum.

        The file is written beside `path` and moved there when it is complete, so that a kill at any
        moment leaves the previous file or the new one, whole. A link at `path` stays, and a file
        that is replaced leaves its permissions to the new one.

        Parameters
        ----------
        path : str or Path

        Raises
        ------
        TypeError, ValueError
            If `path` is no path.
        OSError
            If `path` is a folder or a device, its folder is missing, or the system does not let it
            be written; the message says what to do.
        """
        formats.write(path, self._format, *self._contents())

    @classmethod
    def load(cls, path):
        """Read what :meth:`save` wrote; all of the file is checked.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        object
            Of this class.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is no file of this class, of another version, or damaged: whatever could not be
            what :meth:`save` wrote is refused.

        Warns
        -----
        RuntimeWarning
            If the parameters are not finite, as a training leaves them that has diverged.
        """
        return cls._read(path)

    @classmethod
    def _read(cls, path):
        # Called by the method that a user calls: the warning of `reading` counts the frames.
        with formats.reading(path, cls._readable, f"{cls.__name__}.save") as contents:
            return cls._from_contents(*contents)
