"""How a command of the simulator ends when it is interrupted or cannot write what it found."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool

INTERRUPTED = 130
NOT_WRITTEN = 2
NOBODY_READS = 141
"""As a shell names what SIGPIPE ended."""


def as_command(work: Callable[[], int]) -> int:
    """The exit code of the work; one line and a code of their own where it could not end.

    1 is left to mean that a promise was broken.
    """
    try:
        code = work()
        sys.stdout.flush()
        return code
    except (KeyboardInterrupt, BrokenProcessPool) as ended:
        # Ctrl-C reaches the processes of a pool as well, and whichever notices first tells.
        if isinstance(ended, BrokenProcessPool):
            print("a process of the simulator was ended from outside", file=sys.stderr)
        else:
            print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        _write_no_more()
        return NOBODY_READS
    except OSError as error:
        _write_no_more()
        where = f"{error.filename}: " if error.filename else "what was found cannot be written: "
        print(f"{where}{error.strerror or error}", file=sys.stderr)
        return NOT_WRITTEN


def end_quietly_on_interrupt() -> None:
    """For the processes of a pool: Ctrl-C ends them without a word, for their parent speaks."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _write_no_more() -> None:
    """Else the interpreter would try once more at its end, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
