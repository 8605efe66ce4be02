"""The machine about triggers: every operation that starts runs or hands them on, in any order."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from tests.state_machine.machine_delivery import DeliveryRules
from tests.state_machine.machine_listeners import ListenerRules
from tests.state_machine.machine_schedules import ScheduleRules


class TriggerMachine(ScheduleRules, DeliveryRules, ListenerRules):
    """All rules; here those about units of work, and everything at once."""

    @precondition(lambda self: not self.in_unit)
    @rule(levels=st.sampled_from([1, 2]))
    def begin(self, levels: int) -> None:
        type(self).steps += 1
        for _ in range(levels):
            self.sides.compare("begin", lambda side: side.begin(), self.model.begin)

    @precondition(lambda self: self.in_unit)
    @rule(keep=st.booleans())
    def end(self, keep: bool) -> None:
        self._leave(keep)

    @precondition(lambda self: self.in_unit)
    @rule(what=st.sampled_from(["dispatch_due_cron_runs", "dispatch_due_retries"]))
    def dispatch_inside(self, what: str) -> None:
        self._step(what)

    # Twice, so that units of work are short: what is dispatched is dispatched outside of them.
    @precondition(lambda self: self.in_unit)
    @rule(keep=st.booleans())
    def end_soon(self, keep: bool) -> None:
        self._leave(keep)

    def _leave(self, keep: bool) -> None:
        type(self).steps += 1
        self._end(keep=keep)

    @rule(really=st.sampled_from([False] * 15 + [True]))
    def compare(self, really: bool) -> None:
        type(self).steps += 1
        if really:
            self._compare_everything()
