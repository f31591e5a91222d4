"""The load generator: Locust's runner, driven in steps up to saturation and then along a shape."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import gevent
from locust.env import Environment
from locust.html import get_html_report
from locust.stats import stats_history

from tests.load.record import GENERATOR_LIMIT, SpellFigures
from tests.load.shapes import Stage
from tests.load.users import OperatorUser, Shared, wanted

FIRST_USERS, MOST_USERS = 4, 256
GAIN = 1.05
"""What a doubling of users must bring for the next one to be tried."""
TOLERATED = 0.01
"""Share of failures up to which a rate counts as borne."""
SPAWNED_PER_SECOND = 100
WARM_UP_S = 1.0
LEAST_RATE = 0.1
"""Requests a second of a kind that was never answered well: enough to see that it still fails."""
PATIENCE_S = 0.5
"""Users are so many that the rate is kept while answers take this long."""

Show = Callable[[str, float], None]
"""Told what happens and the share of it that is done."""


@dataclass(frozen=True, slots=True)
class Step:
    """So many users who ask as fast as they are answered."""

    users: int
    figures: SpellFigures


@dataclass(frozen=True, slots=True)
class Saturation:
    """The most that the stack answered, and how it was found."""

    steps: Sequence[Step]
    best: Step
    limit: float
    """Generator CPU from which the generator is to blame."""

    @property
    def by_generator(self) -> bool:
        """Whether the generator could not ask for more, so that the stack may bear more than was measured."""
        return self.best.figures.generator_cpu > self.limit

    def as_json(self) -> dict[str, Any]:
        """All steps and the best."""
        steps = [{"users": step.users, **step.figures.as_json()} for step in self.steps]
        best = {"users": self.best.users, **self.best.figures.as_json()}
        return {"steps": steps, "best": best, "bound_by_generator": self.by_generator}


@dataclass(frozen=True, slots=True)
class Held:
    """One stage of a shape and what it came to."""

    stage: Stage
    wanted_per_second: float
    figures: SpellFigures

    def as_json(self) -> dict[str, Any]:
        """Everything by name."""
        stage = asdict(self.stage)
        return {**stage, "wanted_per_second": self.wanted_per_second, **self.figures.as_json()}


class Generator:
    """Users of one stack; `Shared` says which one. Call `close` in the end."""

    def __init__(self, host: str, show: Show, limit: float = GENERATOR_LIMIT) -> None:
        self._show = show
        self._limit = limit
        self._env = Environment(user_classes=wanted(Shared.stack), host=host)
        self._runner: Any = self._env.create_local_runner()

    def saturation(self, step_s: float, most_users: int = MOST_USERS) -> Saturation:
        """Double the users until that brings no more answers, or too many of them are failures."""
        steps: list[Step] = []
        Shared.pace.set({})
        users = FIRST_USERS
        while users <= most_users:
            self._start(users)
            self._wait(min(1.0, step_s / 2), f"{users} users, warming up")
            step = Step(users, self._spell(step_s, f"{users} users"))
            borne = [each.figures.per_second for each in steps if each.figures.error_ratio <= TOLERATED]
            steps.append(step)
            if step.figures.error_ratio > TOLERATED or (borne and step.figures.per_second < GAIN * max(borne)):
                break
            users *= 2
        good = [step for step in steps if step.figures.error_ratio <= TOLERATED] or steps[:1]
        return Saturation(steps, max(good, key=lambda step: step.figures.per_second), self._limit)

    def hold(self, plan: Sequence[Stage], found: Saturation) -> list[Held]:
        """Ask at shares of what was found, every kind of user in the same proportion."""
        rates = _rates(found.best.figures)
        peak = max(stage.share for stage in plan) * sum(rates.values())
        self._runner.stop()
        self._runner.stats.clear_all()
        history = gevent.spawn(stats_history, self._runner)
        Shared.pace.set({kind: plan[0].share * rate for kind, rate in rates.items()})
        self._start(max(4 * len(rates), min(MOST_USERS, round(PATIENCE_S * peak))))
        self._wait(WARM_UP_S, "warming up")
        held = []
        for stage in plan:
            Shared.pace.set({kind: stage.share * rate for kind, rate in rates.items()})
            wanted_rate = stage.share * sum(rates.values())
            figures = self._spell(stage.seconds, f"{wanted_rate:.0f}/s, {stage.share:.0%} of saturation")
            held.append(Held(stage, wanted_rate, figures))
        self._runner.stop()
        history.kill()
        return held

    def html(self) -> str:
        """Locust's own report of what was held."""
        return str(get_html_report(self._env, show_download_link=False))

    def close(self) -> None:
        """Send everybody home."""
        self._runner.quit()

    def _start(self, users: int) -> None:
        operators = OperatorUser.fixed_count
        self._runner.start(users + operators, spawn_rate=SPAWNED_PER_SECOND)
        until = time.monotonic() + 10 + users / SPAWNED_PER_SECOND
        while self._runner.user_count != users + operators and time.monotonic() < until:
            gevent.sleep(0.05)

    def _spell(self, seconds: float, what: str) -> SpellFigures:
        Shared.record.begin()
        self._wait(seconds, what)
        return Shared.record.figures()

    def _wait(self, seconds: float, what: str) -> None:
        begun = time.monotonic()
        while (elapsed := time.monotonic() - begun) < seconds:
            rate = Shared.record.answered() / elapsed if elapsed > 0.5 else 0.0
            self._show(f"{what}: {rate:.0f}/s" if rate else what, elapsed / seconds)
            gevent.sleep(min(0.25, seconds - elapsed))


def _rates(figures: SpellFigures) -> dict[str, float]:
    """What each kind of user asked a second; broken photos come from those who send the others."""
    found: dict[str, float] = {}
    for kind, each in figures.kinds.items():
        if kind != "status":
            who = "photos" if kind == "broken photos" else kind
            found[who] = found.get(who, LEAST_RATE) + each.per_second
    return found
