"""A keeper on a real cluster through minutes of edits, kills and outages: no node may ever lose a pin.

What happens is drawn by chance from a seed, so that a run can be repeated. A witness that knows nothing of
kip counts how long a node goes without an image that it had pinned and should have. In the end everything is
left in peace, and the cache has to become as the settings say.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from operator import itemgetter
from pathlib import Path
from typing import Any
from uuid import uuid4

from disturbances import Disturbance, of_the_api, of_the_cluster
from faultproxy import FaultProxy
from pins import Pins, witness
from realcluster import (
    KIP_RULES,
    TOP,
    UPSTREAM_RULES,
    Keeper,
    apply,
    eventually,
    hack,
    kubeconfig_for,
    kubectl,
    new_namespace,
    registry,
    use_cluster,
)
from realcluster import (
    nodes as all_nodes,
)
from soak_figures import RIPE_SECONDS, Journal, Memory, Report, table, worst_minute
from soak_peace import Expected, images_of, unfinished
from soak_script import (
    AT_FIRST,
    BY_HAND,
    GOOD_SLEEPER,
    MISSING,
    SLEEPER,
    ByHand,
    Disturb,
    Edit,
    Event,
    Restart,
    write_script,
)

NAME = "kubernetes-image-puller"
CONFIGMAP = "k8s-image-puller"
RIGHTS = {"kip": KIP_RULES, "upstream": UPSTREAM_RULES}
STEP, TENDED = "soak.kip.dev/step", "soak.kip.dev/tended"
"""Annotations that the settings give the cache: for which edit it was made, and one for people to spoil."""

FIRST_FILL_SECONDS = 180.0
PEACE_SECONDS = 900.0
"""How long converging may take: a kubelet tries an image that it could not pull every 5 minutes."""

SAMPLE_SECONDS = 1.0
ENDS_WITHIN_SECONDS = 30.0


class Wants:
    """Which images the witness is to count: the good ones of the list in force.

    One that comes back to the list may be on its way out still; it counts from when the cache that was made
    for the newest edit lists it.
    """

    def __init__(self, pins: Pins) -> None:
        self._pins = pins
        self._lock = threading.Lock()
        self._step = ""
        self._good: frozenset[str] = frozenset()
        self._returning: frozenset[str] = frozenset()

    def edit(self, step: str, good: frozenset[str]) -> None:
        """Take note of an edit, before it is made."""
        with self._lock:
            self._returning = (self._returning | (good - self._good)) & good
            self._step, self._good = step, good
            self._tell()

    def seen(self, daemonset: dict[str, Any]) -> None:
        """Take note of the cache as it is."""
        step = (daemonset["metadata"].get("annotations") or {}).get(STEP)
        with self._lock:
            if step == self._step and self._returning & images_of(daemonset):
                self._returning -= images_of(daemonset)
                self._tell()

    def _tell(self) -> None:
        self._pins.want(self._good - self._returning)


@dataclass
class Soak:
    """One run. `rights` are `kip` or `upstream`; without the right to the ConfigMap an edit is a restart.

    `disturbances` are what can go wrong around the keeper; `through` maps its kubeconfig to one that leads
    through a proxy.
    """

    namespace: str
    rights: str
    seconds: float
    seed: int
    folder: Path
    pins: Pins
    disturbances: Sequence[Disturbance]
    proxy: FaultProxy
    keeper: Keeper | None = None
    memory: Memory = field(default_factory=Memory)
    counts: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    _edit: Edit = field(default_factory=lambda: Edit(0.0, AT_FIRST))
    _step: int = 0
    _keepers: int = 0
    _watch: subprocess.Popen[bytes] | None = None
    _over: threading.Event = field(default_factory=threading.Event)
    _hands: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> Report:
        """Do everything that the script says, then wait for peace, and report."""
        begun = time.monotonic()
        self.journal = Journal(begun, self.folder / "journal.txt")
        self.wants = Wants(self.pins)
        self.images = demo_images()
        self.nodes = all_nodes()
        report = Report(self.seed, self.rights, self.seconds / 60, logs=str(self.folder.relative_to(TOP)))
        with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
            self.kubeconfig = kubeconfig_for(self.namespace, RIGHTS[self.rights], Path(scratch))
            self.proxy.lead(self.kubeconfig)
            kubectl("-n", self.namespace, "create", "deployment", NAME, "--image=none.invalid/none")
            stack.callback(self._end_watches)
            self._in_background(self._follow_cache)
            self._in_background(self._watch_keeper)
            stack.callback(self._end_keeper, signal.SIGKILL)
            try:
                self._edit_settings(self._edit)
                self._start_keeper()
                self.pins.wait_for(self._good(), self.nodes, seconds=FIRST_FILL_SECONDS)
                self._disturbed()
                report.converged_after_s = self._peace()
            except AssertionError as error:
                report.missing = str(error)
            self._fill_in(report, begun)
        return report

    # What happens

    def _disturbed(self) -> None:
        """Go through the script. Disturbances begin and end in a thread of their own, one after the other."""
        lasting = {item.name: item.lasts for item in self.disturbances}
        script = write_script(self.seed, self.seconds, lasting)
        begun = time.monotonic()
        self.journal.write(begun, f"the script begins: {len(script)} events")
        work: list[Future[None]] = []
        ends: list[tuple[float, Disturbance]] = []
        with ThreadPoolExecutor(max_workers=1) as operator:
            try:
                for event in [*script, Event(self.seconds)]:
                    for at, item in sorted((end for end in ends if end[0] <= event.at), key=itemgetter(0)):
                        self._wait_until(begun + at)
                        ends.remove((at, item))
                        work.append(operator.submit(self._switch, item, on=False))
                    self._wait_until(begun + event.at)
                    if isinstance(event, Disturb):
                        item = next(item for item in self.disturbances if item.name == event.name)
                        ends.append((event.at + event.seconds, item))
                        work.append(operator.submit(self._switch, item, on=True))
                    else:
                        self._happen(event)
            finally:
                work += [operator.submit(self._switch, item, on=False) for _, item in ends]
        for error in filter(None, (done.exception() for done in work)):
            self._fault(f"a disturbance failed: {error}")

    def _wait_until(self, moment: float) -> None:
        self._over.wait(max(0.0, moment - time.monotonic()))

    def _happen(self, event: Event) -> None:
        match event:
            case Edit():
                self._edit_settings(event)
                if self.rights == "upstream":
                    self._end_keeper(signal.SIGTERM)
                    self._start_keeper()
            case Restart():
                self._count("kills" if event.kill else "ordered ends")
                self._end_keeper(signal.SIGKILL if event.kill else signal.SIGTERM)
                self._over.wait(event.down)
                self._start_keeper()
            case ByHand():
                self._edit_by_hand(event.what)

    def _edit_settings(self, edit: Edit) -> None:
        """Make an edit. An unusable one leaves in force what was so far, for the witness too."""
        before, self._edit = self._edit, edit
        if not edit.spoilt:
            self._step += 1
            self.wants.edit(str(self._step), self._good())
        self._count("unusable edits" if edit.spoilt else "edits")
        news = dict(edit.values.items() - before.values.items()) | edit.spoilt
        words = [f"{key}={value}" for key, value in sorted(news.items())]
        self._say(f"edit {self._step}: {' '.join([*edit.names, *words])}{' (unusable)' * bool(edit.spoilt)}")
        if self.rights == "kip":
            metadata = {"name": CONFIGMAP, "namespace": self.namespace}
            apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": self._settings()})

    def _settings(self) -> dict[str, str]:
        """Return the settings as they are to be."""
        edit = self._edit
        values = {"CACHING_INTERVAL_HOURS": "1h", **edit.values}
        values[SLEEPER] = f"{registry()}/{values.get(SLEEPER, GOOD_SLEEPER)}"
        annotations = json.dumps({STEP: str(self._step), TENDED: "yes"})
        listed = ";".join(f"{name}={self.images[name]}" for name in edit.names)
        return {"IMAGES": listed, "DAEMONSET_ANNOTATIONS": annotations, **values, **edit.spoilt}

    def _edit_by_hand(self, what: str) -> None:
        """Change something of the cache that lets go of nothing; there may be no cache just now."""
        assert what in BY_HAND
        patch: dict[str, Any] = {"metadata": {"annotations": {TENDED: "no", "example.com/note": "mine"}}}
        if what == "surge":
            patch = {"spec": {"updateStrategy": {"rollingUpdate": {"maxSurge": 2}}}}
        self._count("edits by hand")
        self._say(f"{what} of the cache changed by hand")
        kubectl("-n", self.namespace, "patch", "daemonset", NAME, "-p", json.dumps(patch), check=False)

    def _switch(self, item: Disturbance, *, on: bool) -> None:
        self._say(f"{item.name}: {'begins' if on else 'ends'}")
        if on:
            self._count(item.name)
            item.start()
        else:
            item.stop()
        self._say(f"{item.name}: has {'begun' if on else 'ended'}")

    # The keeper

    def _start_keeper(self) -> None:
        self._keepers += 1
        values = {"DEPLOYMENT_NAME": NAME, SLEEPER: f"{registry()}/{GOOD_SLEEPER}"}
        values |= {"CONFIGMAP_NAME": CONFIGMAP} if self.rights == "kip" else self._settings()
        logfile = self.folder / f"keeper-{self._keepers}.log"
        with self._hands:
            self.keeper = Keeper(self.namespace, self.kubeconfig, logfile, values).__enter__()
        self._count("keepers")
        self._say(f"keeper {self._keepers} started")

    def _end_keeper(self, number: signal.Signals) -> None:
        with self._hands:
            keeper, self.keeper = self.keeper, None
        if keeper is None:
            return
        self._tell_of_its_end(keeper)
        self._say(f"keeper {self._keepers}: {number.name}")
        code = keeper.stop(number, seconds=ENDS_WITHIN_SECONDS)
        begun = keeper.logfile.read_text("utf-8")
        if number is signal.SIGTERM and code != 0 and begun:  # before its first line it hears no signal
            self._fault(f"{keeper.logfile.name} ended with exit code {code} after SIGTERM")

    def _tell_of_its_end(self, keeper: Keeper) -> None:
        code = keeper.process.poll() if keeper.process else None
        if code is not None:
            self._fault(f"keeper {keeper.logfile.name} ended by itself with exit code {code}")

    # What is watched meanwhile

    def _in_background(self, run: Callable[[], None]) -> None:
        threading.Thread(target=run, daemon=True).start()

    def _follow_cache(self) -> None:
        """Tell when the cache lists what it should; a watch that ends is begun again."""
        command = ["kubectl", "-n", self.namespace, "get", "daemonsets", "-o", "json"]
        command += ["--watch", "--output-watch-events"]
        while not self._over.wait(0.5):
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as self._watch:
                assert self._watch.stdout
                for line in self._watch.stdout:
                    event = json.loads(line)
                    if event["type"] != "DELETED" and event["object"]["metadata"]["name"] == NAME:
                        self.wants.seen(event["object"])

    def _end_watches(self) -> None:
        self._over.set()
        if self._watch:
            self._watch.kill()

    def _watch_keeper(self) -> None:
        """Sample the keeper's memory."""
        while not self._over.wait(SAMPLE_SECONDS):
            with self._hands:
                process = self.keeper.process if self.keeper else None
            if process and process.poll() is None:
                self.memory.sample(process.pid, time.monotonic())

    # The end

    def _peace(self) -> float:
        """Leave everything alone; return after how many seconds the cache was as it should be.

        First with a missing image, if one is on the list: all others have to be everywhere. Not so without
        the right to read pods, where a net then stands by for half an hour. Then without it.
        """
        begun = time.monotonic()
        values = {key: value for key, value in self._edit.values.items() if key != SLEEPER}
        edit = replace(self._edit, values=values, spoilt={})
        whole = replace(edit, names=tuple(name for name in edit.names if name != MISSING))
        self._say("peace")
        if MISSING in edit.names and self.rights == "kip":
            self._happen(edit)
            self._converge()
            self._say("every good image is where it should be")
        self._happen(whole)
        self._converge()
        took = time.monotonic() - begun
        self._say(f"converged after {took:.1f} s")
        return took

    def _converge(self) -> None:
        expected = Expected(
            self.namespace,
            NAME,
            {STEP: str(self._step), TENDED: "yes"},
            images=frozenset(self.images[name] for name in self._edit.names),
            good=self._good(),
            surge=self._edit.values.get("MAX_SURGE", "100%"),
            nodes=self.nodes,
        )
        try:
            eventually(
                lambda: not (unfinished(expected, self.pins) or self._busy(expected)),
                "peace",
                seconds=PEACE_SECONDS,
            )
        except AssertionError:
            raise AssertionError(unfinished(expected, self.pins) or self._busy(expected)) from None

    def _busy(self, expected: Expected) -> str:
        """Return what the keeper still waits for, as it says itself."""
        done = self.keeper.events("reconcile_done") if self.keeper else []
        if expected.whole and not (done and done[-1]["plan"] == "nothing"):
            return f"the keeper is not done: {done[-1] if done else 'it has not begun'}"
        return ""

    def _fill_in(self, report: Report, begun: float) -> None:
        """Fill in the figures."""
        if self.keeper:
            self._tell_of_its_end(self.keeper)
        seen = self.pins.report()
        report.unpinned_seconds, report.counted = seen["total"], seen["counted"]
        report.gaps = [self._explained(gap) for gap in seen["gaps"]]
        report.young_pins_lost = [self._explained(gap) for gap in seen["young"]]
        report.counts, report.memory = self.counts, self.memory.growths()
        report.peak_kib = max((kib for found in self.memory.samples.values() for _, kib in found), default=0)
        minutes = (time.monotonic() - begun) / 60
        times = sorted(request.at for request in self.proxy.requests)
        report.requests, report.requests_per_minute = len(times), round(len(times) / minutes, 1)
        report.worst_minute = worst_minute(times)
        report.faults = [*self.faults, *self._faults_of_kip()]
        (self.folder / "report.json").write_text(json.dumps(as_json(report), indent=2), "utf-8")
        objects = kubectl("-n", self.namespace, "get", "daemonsets,pods", "-o", "yaml", check=False)
        (self.folder / "objects.yaml").write_text(objects, "utf-8")

    def _explained(self, gap: dict[str, Any]) -> dict[str, Any]:
        """Return a gap with seconds of the journal, and what went on then."""
        since = gap["since"] - self.journal.begun
        until = gap.get("until", gap["since"] if "age" in gap else time.monotonic()) - self.journal.begun
        times = {"since": round(since, 3), "seconds": round(until - since, 3)}
        return {**gap, **times, "until": round(until, 3), "what_went_on": self.journal.around(since, until)}

    def _faults_of_kip(self) -> Iterator[str]:
        for file in sorted(self.folder.glob("keeper-*.log")):
            for line in file.read_text("utf-8").splitlines():
                with suppress(ValueError, KeyError, TypeError):
                    if json.loads(line)["event"] == "fault":
                        yield f"a fault of kip's own in {file.name}"

    # Small things

    def _good(self) -> frozenset[str]:
        return frozenset(self.images[name] for name in self._edit.names if name != MISSING)

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def _say(self, text: str) -> None:
        self.journal.write(time.monotonic(), text)

    def _fault(self, text: str) -> None:
        self.faults.append(text)
        self._say(text)


def demo_images() -> dict[str, str]:
    """Return name and reference of the images in the registry, and of one that is not there."""
    found = json.loads(hack("demo-images", "-o", "json"))["images"]
    return {image["name"]: image["reference"] for image in found} | {
        MISSING: f"{registry()}/demo/missing:1.0.0"
    }


def as_json(report: Report) -> dict[str, Any]:
    """Return a report for programs."""
    return {**asdict(report), "problems": report.problems}


def soak(namespace: str, *, rights: str, minutes: float, seed: int, folder: Path) -> Report:
    """Run one soak in a namespace that is there already; the nodes and the registry are left as they were."""
    folder.mkdir(parents=True, exist_ok=True)
    nodes = all_nodes()
    with (
        witness(namespace, ripe=RIPE_SECONDS) as pins,
        tempfile.TemporaryDirectory() as scratch,
        FaultProxy(kubectl("config", "view", "--raw", "--minify"), Path(scratch)) as proxy,
    ):
        found = [*of_the_cluster(nodes, pins), *of_the_api(proxy)]
        return Soak(namespace, rights, minutes * 60, seed, folder, pins, found, proxy).run()


@contextmanager
def namespace_of_its_own() -> Iterator[str]:
    """Make a namespace that enforces Pod Security `restricted`, and remove it."""
    name = new_namespace(f"soak-{uuid4().hex[:6]}")
    try:
        yield name
    finally:
        kubectl("delete", "namespace", name, "--wait=false")


def main() -> int:
    """Run a soak as the command line says; the exit code is 1 when something is not as it should be."""
    parser = argparse.ArgumentParser(
        prog="hack/soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=15, metavar="N", help="how long (default: 15)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="what happens (default: 1)")
    parser.add_argument(
        "--rights", choices=list(RIGHTS), default="kip", help="the Role of the keeper (default: kip)"
    )
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")
    chosen = parser.parse_args()
    use_cluster()
    with namespace_of_its_own() as namespace:
        report = soak(
            namespace,
            rights=chosen.rights,
            minutes=chosen.minutes,
            seed=chosen.seed,
            folder=TOP / "e2e/logs" / namespace,
        )
    if chosen.output == "json":
        print(json.dumps(as_json(report), indent=2))
    else:
        print(table(report.rows()))
        for gap in report.gaps:
            print(f"gap: {gap['node']} without {gap['image']} for {gap['seconds']} s at {gap['since']} s")
            print("".join(f"       {line}\n" for line in gap["what_went_on"]), end="")
        print("".join(f"PROBLEM: {problem}\n" for problem in report.problems), end="")
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
