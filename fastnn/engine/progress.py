"""What ``progress=True`` shows: a bar in the terminal or in the notebook.

Showing it never ends a training: a terminal that is gone takes what it is sent in silence.
"""

import contextlib
import sys
import time

#: Least seconds between two states that a notebook shows.
NOTEBOOK_INTERVAL = 0.1


class Reporter:
    """Shows progress: nothing, a bar, or whatever the user's function does.

    Parameters
    ----------
    progress : bool or callable
    total : int
        Epochs, or steps: what the first field of a status counts.
    describe : callable
        Returns the text for a status, its parts separated by two spaces, the most important first.
    """

    def __init__(self, progress, total, describe):
        self.bar, self.describe = None, describe
        self.function = progress if callable(progress) else None
        if progress and self.function is None:
            self.bar = NotebookBar(total) if in_notebook() else TerminalBar(total)

    @property
    def shows(self):
        """Whether anything is shown."""
        return self.bar is not None or self.function is not None

    def __enter__(self):
        if self.bar is not None:
            self.bar.start()
        return self

    def __exit__(self, *_):
        if self.bar is not None:
            self.bar.stop()

    def update(self, status):
        """Show where the training stands."""
        if self.function is not None:
            self.function(status)
        if self.bar is not None:
            self.bar.update(status[0], self.describe(status))


class TerminalBar:
    """A bar on stderr, drawn by rich; one line, whose text is as long as its width allows.

    Parameters
    ----------
    total : int
        What is to be done.
    transient : bool, default=False
        Remove the bar at its end, and show nothing where stderr is no terminal.
    """

    def __init__(self, total, transient=False):
        try:
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
            )
        except ImportError:
            raise ImportError(
                "progress=True needs rich: python -m pip install rich (or pass a function)"
            ) from None
        console = Console(file=_Tolerant(sys.stderr))
        bar = 20 if console.width >= 80 else 8
        # Beside the bar, "total/total", and "0:00:00", each with a space behind it.
        self._width = console.width - bar - 2 * len(str(total)) - 1 - 7 - 3
        self._progress = Progress(
            BarColumn(bar),
            MofNCompleteColumn(),
            TextColumn("{task.description}", markup=False),
            TimeRemainingColumn(),
            console=console,
            transient=transient,
            disable=transient and not console.is_terminal,
            # What a callback prints, rich would send to stderr, above the bar: right for a
            # terminal, wrong for a file.
            redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
        )
        self._task = self._progress.add_task("", total=total)

    def start(self):
        """Show the bar."""
        self._progress.start()

    def stop(self):
        """Leave the bar as it is, or remove it."""
        self._progress.stop()

    def update(self, done, text):
        """Show how much is done, and as many parts of the text as there is space for."""
        parts = text.split("  ")
        while len(parts) > 1 and len("  ".join(parts)) > self._width:
            parts.pop()
        self._progress.update(self._task, completed=done, description="  ".join(parts))

    def advance(self, count):
        """Show that so much more is done; from any thread."""
        self._progress.advance(self._task, count)


class _Tolerant:
    """A stream whose failures are not told; rich would end the whole process for a closed pipe."""

    def __init__(self, stream):
        self._stream = stream

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def isatty(self):
        return self._stream is not None and self._stream.isatty()

    def write(self, text):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            self._stream.flush()


class NotebookBar:
    """A bar in the output of a notebook's cell: an HTML element that the browser draws.

    It needs IPython alone, where rich needs ipywidgets.
    """

    def __init__(self, total):
        self._total, self._state, self._handle = total, (0, ""), None
        self._begun = self._shown = 0.0

    def start(self):
        """Show the bar."""
        from IPython.display import display

        self._begun = self._shown = time.monotonic()
        self._handle = display(self._content(), raw=True, display_id=True)

    def stop(self):
        """Show the latest state, and leave it."""
        if self._handle is not None:
            self._handle.update(self._content(), raw=True)

    def update(self, done, text):
        """Show how much is done, and the text."""
        self._state = done, text
        if time.monotonic() >= self._shown + NOTEBOOK_INTERVAL:
            self._shown = time.monotonic()
            self._handle.update(self._content(), raw=True)

    def _content(self):
        from html import escape

        done, text = self._state
        line = f"{done}/{self._total}  {text}".rstrip()
        if 0 < done < self._total:
            left = (time.monotonic() - self._begun) * (self._total - done) / done
            line += f"  {left:,.0f} s left"
        bar = f'<progress value="{done}" max="{self._total}"></progress>'
        return {
            "text/plain": line,
            "text/html": f"<div>{bar} <code>{escape(line)}</code></div>",
        }


def in_notebook():
    """Tell whether output goes to a notebook: IPython runs, and not in a terminal."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    kinds = {kind.__name__ for kind in type(shell).__mro__}
    return shell is not None and "TerminalInteractiveShell" not in kinds
