"""Whatever becomes of three keepers' ways to the API server: never do two of them act, and soon one does."""

from collections.abc import Iterator

from fakes import EVERYTHING, FakeCluster
from hypothesis import given, settings
from hypothesis import strategies as st
from leasescene import CACHE, Scene
from structlog.testing import capture_logs

from kip.errors import Unreachable
from kip.keeper.lease import Leadership


class Way:
    """One keeper's way to the API server: `open`, `closed`, or `deaf`: requests arrive, answers do not."""

    def __init__(self, cluster: FakeCluster) -> None:
        self.state = "open"
        self._cluster = cluster

    def __getattr__(self, verb: str):
        def call(*arguments: object) -> object:
            if self.state == "closed":
                raise Unreachable("closed")
            answer = getattr(self._cluster, verb)(*arguments)
            if self.state == "deaf":
                raise Unreachable("deaf")
            return answer

        return call


NAMES = ("a", "b", "c")
STATES = st.sampled_from(["open", "closed", "deaf"])
PERIOD = st.tuples(st.integers(1, 15), st.tuples(*(STATES for _ in NAMES)), st.sampled_from(["", *NAMES]))


class Crowd:
    """Keepers of one cache, each with a way of its own."""

    def __init__(self) -> None:
        self.scene = Scene()
        self.ways = [Way(self.scene.cluster) for _ in NAMES]
        self.keepers = [
            Leadership(way, name, lambda _: EVERYTHING, self.scene.now, self.scene.clock)
            for way, name in zip(self.ways, NAMES, strict=True)
        ]

    def live_through(self, periods: list) -> Iterator[list[bool]]:
        """Yield who holds the lease after each tick: these states last, and who is named starts anew."""
        for ticks, states, restarted in periods:
            for keeper, way, state in zip(self.keepers, self.ways, states, strict=True):
                way.state = state
                if keeper.me == restarted:
                    keeper.release()
                keeper.follow(*CACHE)
            for _ in range(ticks):
                yield self.scene.pass_time(5, *self.keepers)


@settings(deadline=None, max_examples=50)
@given(st.lists(PERIOD, max_size=12))
def test_at_no_time_two_keepers_act(periods):
    with capture_logs():
        assert all(sum(holding) <= 1 for holding in Crowd().live_through(periods))


@settings(deadline=None, max_examples=50)
@given(st.lists(PERIOD, max_size=12))
def test_whatever_happened_one_keeper_acts_within_a_minute(periods):
    calm = (12, ("open",) * len(NAMES), "")
    with capture_logs():
        *_, last = Crowd().live_through([*periods, calm])
    assert sum(last) == 1
