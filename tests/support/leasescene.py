"""Keepers of one cache on one API server, for the tests of the lease."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from fakes import EVERYTHING, Clock, FakeCluster

from kip.core.rights import Rights
from kip.keeper.lease import Leadership

CACHE = ("images", "kubernetes-image-puller")
KEY = ("Lease", *CACHE)


@dataclass
class Scene:
    """One API server, one time for all, and keepers by name."""

    cluster: FakeCluster = field(default_factory=FakeCluster)
    clock: Clock = field(default_factory=Clock)
    rights: Rights = EVERYTHING
    log: list[dict] = field(default_factory=list)

    def keeper(self, me: str = "first", *, place: tuple[str, ...] = CACHE) -> Leadership:
        found = Leadership(self.cluster, me, lambda _: self.rights, self.now, self.clock)
        found.follow(*place)
        return found

    def now(self) -> datetime:
        return datetime(2026, 11, 21, 8, 0, tzinfo=UTC) + timedelta(seconds=self.clock.seconds)

    def pass_time(self, seconds: float, *keepers: Leadership) -> list[bool]:
        """Let time pass in the loop's ticks of 5 s; return what each keeper says in the end."""
        said: list[bool] = []
        for _ in range(int(seconds / 5)):
            self.clock.seconds += 5.0
            said = [keeper.hold() for keeper in keepers]
        return said

    @property
    def spec(self) -> dict:
        return self.cluster.objects[KEY]["spec"]

    def told(self, *names: str) -> list[dict]:
        return [line for line in self.log if line["event"] in names]
