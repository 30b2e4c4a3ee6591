"""What holds for every job, whatever order events come in; nodes and kubelets are those of `pullworld`."""

from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as some
from pullworld import BAD, GOOD, HANGS, World

from kip.pulljob.node_progress import MOST_LOST
from kip.pulljob.planner import JobPlan, plan_job
from kip.pulljob.record import Record, new_record
from kip.pulljob.record_text import from_text, to_text
from kip.pulljob.spec import PullJob

NODES = [f"node{number}" for number in range(4)]
IMAGES = tuple(f"registry.example/app{number}:1" for number in range(3))
MOST_STEPS = 2000

jobs = some.builds(
    PullJob,
    name=some.just("job"),
    namespace=some.just("images"),
    images=some.sampled_from([IMAGES[:1], IMAGES]),
    key=some.just("0123456789"),
    parallelism=some.integers(1, 3),
    timeout_seconds=some.integers(1, 8),
    backoff_limit=some.integers(0, 2),
    keep_seconds=some.sampled_from([0, 0, 3600]),
)
fates = some.dictionaries(
    some.tuples(some.sampled_from(NODES), some.sampled_from(IMAGES)),
    some.sampled_from([BAD, HANGS]),
    max_size=5,
)
events = some.lists(
    some.one_of(
        some.tuples(some.just("tick"), some.integers(1, 5)),
        some.tuples(some.sampled_from(["delete", "evict"]), some.integers(0, 9)),
        some.tuples(some.sampled_from(["down", "up", "leave", "join"]), some.sampled_from(NODES)),
        some.tuples(some.sampled_from(["killed", "forgets", "heals"]), some.integers(0, 3)),
    ),
    max_size=40,
)


@dataclass
class Driver:
    """Keeps the record before it acts; its death is of any kind: between the two, or half way through."""

    world: World
    kept: str
    budget: int | None = None

    @classmethod
    def of(cls, world: World, budget: int | None = None) -> "Driver":
        return cls(world, to_text(new_record(world.job, world.now)), budget)

    @property
    def record(self) -> Record:
        return from_text(self.kept)

    def step(self, *, killed_after: int | None = None) -> JobPlan:
        world, before = self.world, self.record
        done = plan_job(world.job, world.targets(), world.views(), before, world.now, budget=self.budget)
        for start in done.starts:
            of = before.of(start.node)
            assert not any(of.pulled >> number & 1 for number in start.images), "asked for again"
        self.kept = to_text(done.record)
        world.do(done, only=killed_after)
        assert len(world.pulling()) <= world.job.parallelism
        return done


def happen(world: World, driver: Driver, event: tuple) -> None:
    what, which = event
    names = sorted(world.pods)
    if what == "tick":
        world.tick(which)
    elif what in ("delete", "evict") and names:
        getattr(world, what)(names[which % len(names)])
    elif what == "down":
        world.silence(which)
    elif what == "up":
        world.down.pop(which, None)
    elif what == "leave" and which in world.nodes:
        world.nodes.remove(which)
    elif what == "join" and which not in world.nodes:
        world.nodes.append(which)
    elif what == "killed":
        driver.step(killed_after=which)
    elif what == "heals":
        world.fate = {key: fate for key, fate in world.fate.items() if key[1] != IMAGES[which % 3]}


def run_to_the_end(driver: Driver) -> JobPlan:
    for _ in range(MOST_STEPS):
        done = driver.step()
        if done.record.finished:
            return done
        driver.world.tick(1)
    raise AssertionError(f"no end: {done.status}")


@given(jobs, fates, events)
@settings(max_examples=300)
def test_it_ends_never_pulls_on_more_nodes_and_loses_nothing(job, fate, what_happens):
    world = World(job, list(NODES), fate)
    driver = Driver.of(world)
    pulled: dict[str, int] = {}
    for event in what_happens:
        happen(world, driver, event)
        if event[0] != "killed":
            driver.step()
        for name, one in driver.record.nodes.items():
            assert not pulled.get(name, 0) & ~one.pulled, "forgotten"
        pulled = {name: one.pulled for name, one in driver.record.nodes.items()}
    world.down.clear()
    done = run_to_the_end(driver)
    status = done.status
    assert status.desired == len(done.record.nodes) == status.succeeded + status.failed
    for name in done.record.nodes:
        one = done.record.of(name)
        for number, image in enumerate(job.images):
            there, given_up = one.pulled >> number & 1, one.failed >> number & 1
            assert there != given_up
            assert not there or (name, image) in world.there
            if fate.get((name, image), GOOD) == GOOD and one.lost <= MOST_LOST and not _away(one):
                assert there or one.faults[number].reason in (
                    "PullTimeout",
                    "KubeletSilent",
                    "DeadlineExceeded",
                )
    assert len(world.pulls) == len(set(world.pulls))


def _away(one) -> bool:
    return any(fault.reason == "NodeNotReady" for fault in one.faults.values())


@given(jobs, fates, events)
def test_no_pod_is_left_behind_but_those_that_hold(job, fate, what_happens):
    world = World(job, list(NODES), fate)
    driver = Driver.of(world)
    for event in what_happens:
        happen(world, driver, event)
    world.down.clear()
    run_to_the_end(driver)
    driver.step()
    world.tick()
    left = [pod for pod in world.pods.values() if pod["status"]["phase"] == "Pending"]
    assert not left
    assert job.keep_seconds or not world.pods


@given(jobs, some.integers(0, 30))
def test_without_trouble_every_image_is_pulled_once_whenever_the_driver_is_exchanged(job, ticks):
    """The record may be lost altogether: the next driver has the pods that it finds, and the nodes."""
    world = World(job, list(NODES))
    driver = Driver.of(world)
    for _ in range(ticks):
        driver.step()
        world.tick()
    done = run_to_the_end(Driver.of(world))
    assert done.status.succeeded == len(NODES)
    assert sorted(world.pulls) == sorted((node, image) for node in NODES for image in job.images)


@given(jobs, some.integers(0, 2))
def test_a_shared_budget_is_never_exceeded(job, budget):
    world = World(job, list(NODES))
    driver = Driver.of(world, budget)
    before = 0
    for _ in range(20):
        driver.step()
        assert len(world.started) - before <= budget
        before = len(world.started)
        world.tick()


@given(jobs, fates, some.integers(1, 20))
def test_a_deadline_ends_it_in_time(job, fate, seconds):
    world = World(replace(job, deadline_seconds=seconds), list(NODES), fate)
    driver = Driver.of(world)
    for _ in range(seconds + 1):
        driver.step()
        world.tick()
    done = driver.step()
    assert done.record.finished
    assert done.status.succeeded + done.status.failed == len(NODES)
