"""How a command ends: errors in one line, what to do about them, and exit codes."""

import contextlib
import math
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import click

from fastnn.cli.console import note
from fastnn.cli.streams import Streams

INTERRUPTED = 130  # 128 + SIGINT, as the shells report it
#: Signals that follow one another so soon are one wish.
SAME_SECONDS = 1.0


class FriendlyGroup(click.Group):
    """Report every error in one line and not as a traceback; lose no results to a failed output."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Run a command and, as click does, leave with its exit code."""
        streams = Streams()
        with _interrupting_signals(), streams.guarded():
            code = self._exit_code(*args, **{**options, "obj": streams})
            sys.stdout.flush()
            if report := streams.report():
                note(report)
                code = code or 1
        sys.exit(code)

    def _exit_code(self, *args: Any, **options: Any) -> int:
        try:
            return super().main(*args, **{**options, "standalone_mode": False}) or 0
        except click.ClickException as error:
            error.show()
            return error.exit_code
        except click.Abort as error:
            # Of what came before a command had begun; click says no more than "Aborted!".
            if isinstance(error.__cause__, EOFError):
                note(f"Error: {describe(error.__cause__)}")
                return 1
            note("Interrupted.")
            return INTERRUPTED

    def invoke(self, ctx: click.Context) -> Any:
        """Call a command; what it raises becomes an error that click shows in one line."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            note("Interrupted.")
            ctx.exit(INTERRUPTED)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as error:
            if ctx.params["traceback"]:
                note(traceback.format_exc())
            raise click.ClickException(describe(error)) from error


@contextlib.contextmanager
def _interrupting_signals() -> Iterator[None]:
    """Let what a batch system or a closed terminal sends do what Ctrl-C does; once each time.

    A program that starts the command may hand on the Ctrl-C that the terminal has sent to both of
    them. The second would end what the first has begun: the saving of what was learnt.
    """
    latest = -math.inf

    def interrupt(number: int, frame: object) -> None:
        nonlocal latest
        if time.monotonic() >= latest + SAME_SECONDS:
            latest = time.monotonic()
            raise KeyboardInterrupt

    before: dict[Any, Any] = {}
    usual = (signal.SIG_DFL, signal.default_int_handler)
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)  # Windows has not all of them
            # Whoever started the command may have it ignore them, as nohup does.
            if number is not None and signal.getsignal(number) in usual:
                before[number] = signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def describe(error: Exception) -> str:
    """Return a line that says what is wrong, and what to do where that is known."""
    text = " ".join(str(error).split("\n")).strip()
    if isinstance(error, MemoryError):
        return f"not enough memory: {text or 'take fewer rows, hidden units or steps'}"
    if isinstance(error, OSError):
        return _describe_os_error(error)
    if isinstance(error, (ValueError, TypeError, ImportError)):
        return text
    name = type(error).__name__
    return (
        f"{name}{': ' if text else ''}{text}. This is not meant to happen: fastnn --traceback "
        "COMMAND ... shows where it does"
    )


def _describe_os_error(error: OSError) -> str:
    if not error.strerror:
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


class Deferred:
    """Keep the error, or the Ctrl-C, that ends a block: what there is by then is printed first.

    Examples
    --------
    >>> with Deferred() as ending:
    ...     results = [1, 1 / 0]
    >>> ending.raise_again()
    Traceback (most recent call last):
    ZeroDivisionError: division by zero
    """

    error: BaseException | None = None

    def __enter__(self) -> "Deferred":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if isinstance(error, (Exception, KeyboardInterrupt)):
            self.error = error
            return True
        return False

    def raise_again(self) -> None:
        """Raise what ended the block, if anything did."""
        if self.error is not None:
            raise self.error
