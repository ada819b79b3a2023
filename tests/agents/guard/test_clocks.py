"""What three clocks say of a time in which nobody ran."""

from __future__ import annotations

from agents.guard.clocks import JUMP_LEAST_MS, Clocks, Reading, Slip, read_clocks


class Host:
    """Three clocks that run together until something happens."""

    def __init__(self) -> None:
        self.now = Reading(boottime_ms=50_000, monotonic_ms=50_000, realtime_ms=1_000_000)
        self.clocks = Clocks(lambda: self.now)

    def turn(self, boot: int, monotonic: int, real: int, blur: int = 0) -> Slip:
        """A turn of the guard's loop, so many ms later on each clock."""
        self.read(boot, monotonic, real, blur)
        return self.clocks.turn()

    def read(self, boot: int, monotonic: int, real: int, blur: int = 0) -> None:
        """What the clocks show so many ms later, whoever looks at them."""
        now = self.now
        self.now = Reading(
            now.boottime_ms + boot, now.monotonic_ms + monotonic, now.realtime_ms + real, blur
        )


def test_time_that_goes_by_on_all_clocks_is_nothing() -> None:
    host = Host()
    for span in (0, 1, 50, 500, 60_000):
        assert host.turn(span, span, span) == Slip()


def test_a_suspend_shows_in_the_boot_clock() -> None:
    host = Host()
    assert host.turn(5050, 50, 5050) == Slip(suspended_ms=5000)
    assert host.turn(50, 50, 50) == Slip()


def test_a_pause_that_only_wall_time_shows_makes_the_deadline_earlier_by_it() -> None:
    host = Host()
    assert host.turn(50, 50, 3050) == Slip(jump_ms=3000)
    assert host.turn(50, 50, 50) == Slip()


def test_slewing_and_small_steps_cost_nothing_and_a_step_back_neither() -> None:
    host = Host()
    for _ in range(1000):
        assert host.turn(50, 50, 51) == Slip()
    assert host.turn(50, 50, 50 + JUMP_LEAST_MS) == Slip()
    assert host.turn(50, 50, -10_000) == Slip()
    assert host.turn(50, 50, 50) == Slip()


def test_being_put_off_between_two_readings_is_no_jump() -> None:
    host = Host()
    assert host.turn(450, 50, 850, blur=800) == Slip()
    assert host.turn(450, 850, 50) == Slip()


def test_a_jump_behind_a_blurred_reading_shows_in_the_next_one() -> None:
    host = Host()
    assert host.turn(50, 50, 3050, blur=400) == Slip()
    assert host.turn(50, 50, 50) == Slip(jump_ms=3000)


def test_questions_from_before_a_jump_count_from_before_it() -> None:
    host = Host()
    asked_before_ms = host.now.boottime_ms
    host.turn(100, 100, 2100)
    host.turn(100, 100, 1100)
    assert host.clocks.jumped_since_ms(asked_before_ms) == 3000
    assert host.clocks.jumped_since_ms(asked_before_ms + 150) == 1000
    assert host.clocks.jumped_since_ms(host.now.boottime_ms + 1) == 0


def test_the_kernel_s_clocks_are_read_close_together() -> None:
    clocks = Clocks(read_clocks)
    assert clocks.turn().suspended_ms == 0
