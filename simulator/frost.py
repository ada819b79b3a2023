"""A host that stands still as a whole, and what waits there for the thaw."""

from __future__ import annotations

from simulator.kernel import Do


class Frost:
    """While it lasts, whatever would happen on the host is put off."""

    def __init__(self) -> None:
        self.frozen = False
        self._waiting: list[Do] = []

    def begin(self) -> None:
        """From now on nothing happens there."""
        self.frozen = True

    def wait(self, do: Do) -> None:
        """Do something at the thaw, after what waits already."""
        self._waiting.append(do)

    def thaw(self) -> None:
        """Everything goes on."""
        self.frozen = False
        waiting, self._waiting = self._waiting, []
        for do in waiting:
            do()

    def forget(self) -> None:
        """The host was switched off: nothing goes on."""
        self.frozen = False
        self._waiting = []
