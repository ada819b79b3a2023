"""Several clients: each waits and loses by itself, and the worst of them is told."""

from __future__ import annotations

from pathlib import Path

from lab.base.database import Login
from lab.base.plan import Plan, Service
from lab.base.records import Insert, Log, Outcome, now_ms
from lab.clients.crowd import NUMBERS_A_CLIENT, Crowd


class Ground:
    """As much of a ground as a crowd looks at."""

    def __init__(self, directory: Path) -> None:
        self.plan = Plan(directory, (Service("paspor", ("batam", "ikn")),), binaries=directory)

    def inside(self, _place: str) -> tuple[str, ...]:
        return ()

    def login(self) -> Login:
        return Login("postgres", "lab")


def crowd_of_two(directory: Path, at_ms: list[list[float]]) -> tuple[Crowd, float]:
    """A crowd whose clients had writes acknowledged at these times after its beginning."""
    crowd = Crowd(Ground(directory), "paspor", clients=2)  # type: ignore[arg-type]
    crowd.directory.mkdir(parents=True)
    begun_ms = now_ms()
    for number, times in enumerate(at_ms, start=1):
        log = Log(crowd.directory / f"client-{number}.jsonl")
        for index, at in enumerate(times):
            n, end_ms = number * NUMBERS_A_CLIENT + index, begun_ms + at
            log.write(Insert(n, "batam", "127.0.0.1:1", begun_ms, end_ms, Outcome.ACKED))
        log.close()
    return crowd, begun_ms


def test_the_outage_is_that_of_the_client_that_waited_longest(tmp_path: Path) -> None:
    crowd, begun_ms = crowd_of_two(tmp_path, [[10, 20, 30, 990], [10, 400, 700, 990]])
    assert crowd.outage_s(begun_ms, begun_ms + 1000) == 0.96


def test_a_loss_is_counted_once_and_in_the_window_of_its_acknowledgement(tmp_path: Path) -> None:
    crowd, begun_ms = crowd_of_two(tmp_path, [[10, 20], [15]])
    present = {NUMBERS_A_CLIENT}
    assert crowd.lost(present, begun_ms, begun_ms + 17) == 1
    assert crowd.lost(present, begun_ms + 17, begun_ms + 100) == 1
    assert crowd.lost(present, begun_ms + 100, begun_ms + 200) == 0
