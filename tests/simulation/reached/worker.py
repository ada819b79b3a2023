"""Lives through worlds under the eye of `coverage`, and tells what of the rules they reached.

`python -m tests.simulation.reached.worker DATA_FILE FOLDER...` reads tasks as JSON from its input,
writes the lines and branches in these folders to the data file, and to its output how often each
row was taken. The eye must be open before the rules are imported: hence a process of its own.
"""

from __future__ import annotations

import json
import signal
import sys

from coverage import Coverage


def main() -> None:
    """Measure all tasks in these folders."""
    # Ctrl-C ends it without a word, for its parent speaks.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    data_file, *folders = sys.argv[1:]
    include = [f"{folder}/*" for folder in folders]
    eye = Coverage(data_file=data_file, branch=True, include=include, config_file=False)
    eye.start()
    from tests.simulation.reached.worlds import live

    rows = live([tuple(task) for task in json.load(sys.stdin)])
    eye.stop()
    eye.save()
    json.dump(rows, sys.stdout)


if __name__ == "__main__":
    main()
