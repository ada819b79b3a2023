"""Watches a scenario: writes down what happens, and says when an expectation is met or broken.

The expectations about one service are read in their order: each counts from the `at` above it,
and not before the one above it, if that waits for a state, was met.
"""

from __future__ import annotations

from controller.core.actions import Answer
from controller.core.model import Record, Transition
from simulator.scenarios.script import REQUESTS, Expectation, Scenario, Want
from simulator.strike import Strike
from simulator.watch import Broken, Watch

RULE = "expect"
AWAITED = (Want.REACHES, Want.ACCEPTED, Want.REFUSED)
LINE = "{:9.3f} s  {:<12} {}"


class Witness(Watch):
    """Raises Broken with the rule `expect`, naming the line that does not hold."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._records: dict[str, Record] = {}
        self._writers: dict[str, list[str]] = {}
        self._lost_bytes: dict[str, int] = {}
        self._answers: dict[str, Answer] = {}
        self._open = list(scenario.expectations)
        self.lines: list[str] = []

    def tell(self, now_ms: int, who: str, what: str) -> None:
        """A line of the recorded output."""
        self.lines.append(LINE.format(now_ms / 1000, who, what).rstrip())

    def moment(self, now_ms: int) -> None:
        """All that is due at this moment has happened."""
        self._look(now_ms)
        for expectation in list(self._open):
            if expectation.want is Want.STAYS and expectation.until_ms == now_ms:
                self._met(now_ms, expectation)
            elif expectation.want is Want.REACHES and expectation.until_ms == now_ms:
                self._failed(expectation, now_ms)

    def end(self, now_ms: int) -> None:
        """It is over: what had to hold all the time did, and no answer is waited for any more."""
        for expectation in list(self._open):
            if expectation.want in AWAITED:
                self._failed(expectation, now_ms)
            self._met(now_ms, expectation)

    # What the world tells.

    def struck(self, now_ms: int, strike: Strike) -> None:
        who = "operator" if strike.verb in REQUESTS else "fault"
        self.tell(now_ms, who, str(strike))

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        self._pass_time(now_ms)
        self._records[new.service] = new
        if old is None:
            self.tell(now_ms, new.service, f"{new.phase.value}: {new.because}")

    def told(self, now_ms: int, change: Transition, old: Record, new: Record) -> None:
        """Follows upon the swap."""
        moved = f"{change.from_phase} -> {change.to_phase}"
        same = change.from_phase == change.to_phase
        self.tell(now_ms, change.service, f"{change.to_phase if same else moved}: {change.because}")
        self._look(now_ms)

    def restored(self, now_ms: int, records: dict[str, Record]) -> None:
        self._pass_time(now_ms)
        self._records = {record.service: record for record in records.values()}
        for record in records.values():
            phase, revision = record.phase.value, record.revision
            self.tell(now_ms, record.service, f"the store says {phase} of revision {revision}")
        self._look(now_ms)

    def answered(self, now_ms: int, answer: Answer) -> None:
        self._pass_time(now_ms)
        self._answers[answer.request_id] = answer
        said = "yes" if answer.accepted else "no"
        self.tell(now_ms, "answer", f"{said}: {_whole(answer)}")
        self._look(now_ms)

    def writes(self, now_ms: int, service: str, agent: str, epoch: int, lost_bytes: int) -> None:
        self._pass_time(now_ms)
        lost = f", without {lost_bytes} acknowledged bytes" if lost_bytes else ""
        self.tell(now_ms, agent, f"{service} is writable, epoch {epoch}{lost}")
        self._writers.setdefault(service, []).append(agent)
        self._lost_bytes[service] = self._lost_bytes.get(service, 0) + lost_bytes
        self._look(now_ms)

    def writes_no_more(self, now_ms: int, service: str, agent: str) -> None:
        self._pass_time(now_ms)
        self.tell(now_ms, agent, f"{service} is writable no more")
        self._writers[service].remove(agent)
        self._look(now_ms)

    def goes_astray(self, now_ms: int, service: str, agent: str) -> None:
        self._pass_time(now_ms)
        self.tell(now_ms, agent, f"{service} takes writes, and nothing binds it to a lease")

    def astray_no_more(self, now_ms: int, service: str, agent: str, lost_bytes: int) -> None:
        self._pass_time(now_ms)
        lost = f"{lost_bytes} bytes that it acknowledged are lost"
        self.tell(now_ms, agent, f"{service} takes no more of those writes; {lost}")
        self._lost_bytes[service] = self._lost_bytes.get(service, 0) + lost_bytes
        self._look(now_ms)

    def fenced(self, now_ms: int, service: str, agent: str, reason: str) -> None:
        self.tell(now_ms, agent, f"{service} is fenced: {reason}")
        for expectation in self._open:
            if expectation.want is Want.FENCES_NOBODY:
                self._failed(expectation, now_ms)

    # What is expected.

    def _pass_time(self, now_ms: int) -> None:
        """Something happens now: what had to stay so until now did; what had to come did not."""
        for expectation in list(self._open):
            until_ms = expectation.until_ms
            if expectation.want is Want.STAYS and until_ms <= now_ms:
                if self._counts(expectation, now_ms):
                    self._met(until_ms, expectation)
            elif expectation.want is Want.REACHES and until_ms < now_ms:
                self._failed(expectation, now_ms)

    def _look(self, now_ms: int) -> None:
        """Something has happened now."""
        for expectation in list(self._open):
            if expectation.want is Want.LOSES:
                if self._loses_more(expectation):
                    self._failed(expectation, now_ms)
            elif expectation.want in (Want.ACCEPTED, Want.REFUSED):
                self._hear(expectation, now_ms)
            elif expectation.service and self._counts(expectation, now_ms):
                holds = self._holds(expectation)
                if holds and expectation.want is Want.REACHES:
                    self._met(now_ms, expectation)
                elif not holds and expectation.want is Want.STAYS:
                    self._failed(expectation, now_ms)

    def _counts(self, expectation: Expectation, now_ms: int) -> bool:
        """Whether its time has come, and the ones above it were met."""
        before = self._open[: self._open.index(expectation)]
        waits = any(
            other.service == expectation.service and other.want is Want.REACHES for other in before
        )
        return expectation.from_ms <= now_ms and not waits

    def _holds(self, expectation: Expectation) -> bool:
        aim, record = expectation.aim, self._records.get(expectation.service)
        writers = self._writers.get(expectation.service, [])
        if record is None:
            return False
        return (
            aim.phase in (None, record.phase.value)
            and aim.primary in (None, record.primary)
            and (aim.writer is None or writers == ([aim.writer] if aim.writer else []))
            and expectation.words in record.because
        )

    def _loses_more(self, expectation: Expectation) -> bool:
        names = [expectation.service] if expectation.service else list(self._lost_bytes)
        return any(self._lost_bytes.get(name, 0) > expectation.most_bytes for name in names)

    def _hear(self, expectation: Expectation, now_ms: int) -> None:
        answer = self._answers.get(expectation.request)
        if answer is None:
            return
        right = answer.accepted is (expectation.want is Want.ACCEPTED)
        if not right or expectation.words not in _whole(answer):
            self._failed(expectation, now_ms)
        self._met(now_ms, expectation)

    def _met(self, now_ms: int, expectation: Expectation) -> None:
        self._open.remove(expectation)
        self.tell(now_ms, "met", expectation.text)

    def _failed(self, expectation: Expectation, now_ms: int) -> None:
        place = f"{self._scenario.name}:{expectation.line}"
        when = f"at {now_ms / 1000:.3f} s"
        raise Broken(RULE, f"{place}: {expectation.text}, but {when} {self._now(expectation)}")

    def _now(self, expectation: Expectation) -> str:
        """What is the case instead."""
        if expectation.request:
            answer = self._answers.get(expectation.request)
            return f"the answer is: {_whole(answer)}" if answer else "there is no answer"
        if expectation.want is Want.FENCES_NOBODY:
            return self.lines[-1].split(maxsplit=2)[-1]
        if expectation.want is Want.LOSES:
            return f"so many bytes are lost: {self._lost_bytes}"
        record = self._records.get(expectation.service)
        writers = " and ".join(self._writers.get(expectation.service, [])) or "nowhere"
        state = f"{record.phase.value} at {record.primary} ({record.because})" if record else "new"
        return f"it is {state}, writable {writers}"


def _whole(answer: Answer) -> str:
    missing = f" ({'; '.join(answer.unmet)})" if answer.unmet else ""
    return f"{answer.text}{missing}"
