"""The command's standard streams: whatever happens to the output, the work goes on.

A pipe that its reader has closed, a full disk and a character that the terminal's encoding lacks
must not end a training, nor keep its results from being saved. So nothing that is printed raises.
"""

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import TextIO

#: Most bytes of output that are kept for stderr where stdout takes none. Tables are far shorter;
#: the predictions of millions of rows are not wanted on a terminal.
KEPT_BYTES = 1 << 16


class _Sink(io.FileIO):
    """An open file that takes every write: what fails is remembered, not raised."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self.error: OSError | None = None
        self.lost = bytearray()

    def write(self, data, /) -> int:
        if self.error is None:
            try:
                return super().write(data)
            except OSError as error:
                self.error = error
        self.lost += data[: KEPT_BYTES + 1 - len(self.lost)]
        return len(data)


class Streams:
    """What became of the output of a command."""

    def __init__(self) -> None:
        self._out: _Sink | None = None

    @property
    def failed(self) -> bool:
        """Whether stdout has refused some output, also where nobody reads it any more."""
        return self._out is not None and self._out.error is not None

    def report(self) -> str | None:
        """Return what stdout did not take, and why, for stderr; None where all is well.

        A closed pipe is well: its reader has what it wanted.
        """
        error = self._out and self._out.error
        # Windows reports a closed pipe as an invalid argument.
        closed = (errno.EPIPE, errno.EINVAL) if os.name == "nt" else (errno.EPIPE,)
        if not error or error.errno in closed:
            return None
        assert self._out is not None
        lost = bytes(self._out.lost)
        text = lost.decode("utf-8", "replace") if len(lost) <= KEPT_BYTES else ""
        return f"{text}Error: stdout did not take all of the output: {error.strerror}"

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """Replace ``sys.stdout`` and ``sys.stderr``, for the time of a command, by sinks."""
        before = sys.stdout, sys.stderr
        sys.stdout, out = _guard(before[0])
        sys.stderr, _ = _guard(before[1])
        self._out = out
        try:
            yield
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            sys.stdout, sys.stderr = before


def _guard(stream: TextIO | None) -> tuple[TextIO, _Sink | None]:
    """Return a stream that takes everything, and the sink behind it where there is one."""
    if stream is None:
        # A stream that was closed before the command began: its descriptor, the lowest free one,
        # would become that of the next file that is opened.
        return open(os.devnull, "w"), None  # noqa: PTH123
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):  # a stream in memory, such as those of tests
        return stream, None
    if os.name == "nt" and stream.isatty():  # Windows' console is no file of bytes
        return stream, None
    stream.flush()
    sink = _Sink(descriptor)
    text = io.TextIOWrapper(
        io.BufferedWriter(sink),
        encoding=stream.encoding,
        # A name of a file may hold what the encoding lacks.
        errors="backslashreplace",
        line_buffering=stream.isatty(),
    )
    return text, sink
