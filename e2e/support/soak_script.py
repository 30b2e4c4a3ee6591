"""What a soak does and when: a script made by chance from a seed, before anything runs.

The same seed, length and disturbances make the same script; how fast the machine is has no part in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

GOOD = ("scratch", "named-user", "volume", "entrypoint", "private-workdir", "stop-signal", "by-digest")
"""Small images of hack/demo-images."""

MISSING = "missing"
"""An image that no registry has."""

AT_FIRST = ("scratch", "volume", "entrypoint")
PAUSES = (1.0, 10.0)
"""Seconds from one event to the next: some come while the one before is still rolled in."""

SLEEPER = "KIP_IMAGE"
GOOD_SLEEPER, MISSING_SLEEPER = "kip-sleep:dev", "kip-sleep:missing"
SETTINGS = {
    "CACHING_MEMORY_LIMIT": ("20Mi", "24Mi", "28Mi"),
    "MAX_SURGE": ("100%", "1", "50%"),
    "IMAGE_PULL_POLICY": ("auto", "auto", "Always", "IfNotPresent"),
    "CACHING_INTERVAL_HOURS": ("1h", "1h", "1m"),
    SLEEPER: (GOOD_SLEEPER, MISSING_SLEEPER),
}
"""Every value but the last sleeper is fine; with that one no new cache pod can start."""

UNUSABLE = ({"CACHING_MEMORY_LIMIT": "20 MB"}, {"IMAGES": "=;=;"}, {"MAX_SURGE": "many"})
BY_HAND = ("annotation", "surge")
DOWN = (0.0, 6.0)
"""Seconds without a keeper."""

WEIGHTS = {"list": 34, "setting": 14, "unusable": 5, "kill": 8, "end": 6, "hand": 6, "disturb": 7}


@dataclass(frozen=True)
class Event:
    """Something that happens `at` so many seconds after the beginning."""

    at: float


@dataclass(frozen=True)
class Edit(Event):
    """The settings become these: all of them, and for an unusable edit what spoils them."""

    names: tuple[str, ...]
    values: dict[str, str] = field(default_factory=dict)
    spoilt: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Restart(Event):
    """The keeper ends, at once or in order, and another starts after so many seconds."""

    kill: bool
    down: float


@dataclass(frozen=True)
class ByHand(Event):
    """Somebody edits the cache itself, which the keeper has to undo."""

    what: str


@dataclass(frozen=True)
class Disturb(Event):
    """A disturbance lasts for so many seconds."""

    name: str
    seconds: float


def write_script(seed: int, seconds: float, disturbances: dict[str, tuple[float, float]]) -> list[Event]:
    """Return the events of a soak in their order.

    `disturbances` maps names to how long they last, at least and at most. In the middle half of the time the
    keeper is left running, so that it can be seen whether its memory grows.
    """
    random, events, at = Random(seed), [], 0.0
    edit = Edit(0.0, AT_FIRST)
    until = dict.fromkeys(disturbances, 0.0)
    while (at := at + random.uniform(*PAUSES)) < seconds:
        at = round(at, 1)
        kind = random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        if kind in {"kill", "end"} and seconds / 4 < at < seconds * 3 / 4:
            kind = "list"
        match kind:
            case "list":
                edit = Edit(at, _other_list(random, edit.names), _healed(random, edit.values))
                events.append(edit)
            case "setting":
                key = random.choice(list(SETTINGS))
                values = {**_healed(random, edit.values), key: random.choice(SETTINGS[key])}
                edit = Edit(at, edit.names, values)
                events.append(edit)
            case "unusable":
                events.append(Edit(at, edit.names, edit.values, random.choice(UNUSABLE)))
            case "kill" | "end":
                events.append(Restart(at, kind == "kill", round(random.uniform(*DOWN), 1)))
            case "hand":
                events.append(ByHand(at, random.choice(BY_HAND)))
            case "disturb":
                if free := sorted(name for name, end in until.items() if end < at):
                    name = random.choice(free)
                    lasts = round(random.uniform(*disturbances[name]), 1)
                    until[name] = at + lasts
                    events.append(Disturb(at, name, lasts))
    return events


def _healed(random: Random, values: dict[str, str]) -> dict[str, str]:
    """Return the settings, mostly without a sleeper that does not exist: with it there is little to lose."""
    if values.get(SLEEPER) == MISSING_SLEEPER and random.random() < 2 / 3:
        return {**values, SLEEPER: GOOD_SLEEPER}
    return values


def _other_list(random: Random, names: Sequence[str]) -> tuple[str, ...]:
    """Add, remove, or shuffle; a good image always stays, and every other list has a missing one."""
    good = [name for name in names if name != MISSING]
    absent = [name for name in GOOD if name not in good]
    choice = random.choice(["add", "add", "remove", "shuffle", "swap"])
    if choice in {"remove", "swap"} and len(good) > 1:
        good.remove(random.choice(good))
    if choice in {"add", "swap"} and absent:
        good.insert(random.randint(0, len(good)), random.choice(absent))
    if choice == "shuffle":
        random.shuffle(good)
    if random.random() < 1 / 2:
        good.insert(random.randint(0, len(good)), MISSING)
    return tuple(good)
