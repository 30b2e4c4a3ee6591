"""Refreshes that cost nothing when nothing moved: before the nodes are sent, the registries are asked.

They are asked beside the loop, as a registry may be slow and an edit must not wait for it; their answers wake
the loop like anything else that changes.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from kip.config.references import parse_reference
from kip.config.settings import Refresh, Settings
from kip.core.rollout.refresh import Manifest, Stamp, judge, known_digests, new_stamp, refresh_due, stamp_of
from kip.errors import KipError
from kip.registry.credentials import Credential

if TYPE_CHECKING:
    from kip.registry.digests import Registries

LONGEST_PAUSE = timedelta(days=1)
"""The longest that a registry can make kip wait."""

ASK_AGAIN = timedelta(minutes=1)
"""When no registry answers, it is asked again so soon (or when it says)."""

Answers = Mapping[str, str | KipError]
Ask = Callable[[Settings, Sequence[str], Sequence[Credential]], Answers]
Seen = Callable[[], Mapping[str, frozenset[str]]]

log = structlog.get_logger()


def in_background(work: Callable[[], None]) -> None:
    """Run `work` in a thread that ends with the process."""
    threading.Thread(target=work, name="registries", daemon=True).start()


def ask_registries() -> Ask:
    """Return a function that asks the registries; these keep tokens and pauses while the settings last."""
    known: dict[tuple[str, ...], Registries] = {}

    def ask(settings: Settings, images: Sequence[str], credentials: Sequence[Credential]) -> Answers:
        # Imported when first needed: it costs memory, and many lists have no moving tag.
        from kip.registry.digests import Registries  # noqa: PLC0415

        if settings.insecure_registries not in known:
            known.clear()
            known[settings.insecure_registries] = Registries(settings.insecure_registries)
        return known[settings.insecure_registries].ask_all(images, credentials)

    return ask


@dataclass(slots=True)
class Refresher:
    """Decides whether a due refresh rolls the cache.

    `ask` asks the registries, `answered` wakes the loop, and `judged` is told how each decision ended: moved,
    unmoved, unknown or postponed.
    """

    now: Callable[[], datetime]
    ask: Ask
    answered: Callable[[], None] = lambda: None
    start: Callable[[Callable[[], None]], None] = in_background
    judged: Callable[[str], None] = lambda _outcome: None
    _asked: tuple[str, ...] = ()
    _answers: Answers | None = None
    _not_before: datetime | None = None
    _in_order_at: datetime | None = None
    _decided: tuple[Stamp, Stamp] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def stamp(
        self,
        settings: Settings,
        daemonset: Manifest | None,
        credentials: Callable[[], Sequence[Credential]],
        seen: Seen,
    ) -> Stamp:
        """Return the stamp that the pods should carry: a new one when a refresh is due and worth it.

        `credentials` reads the pull secrets and `seen` the digests on the nodes, only when that is needed.
        """
        last = stamp_of(daemonset)
        due = self.next_at(settings, daemonset)
        if due is None:
            return last
        if self._decided and self._decided[0] == last:
            return self._decided[1]  # it waits for a net, or for the API server
        self._decided = None
        if self.now() < due:
            return last
        if settings.refresh is Refresh.ALWAYS:
            digests: dict[str, str] | None = {}
            self.judged("unknown")
        else:
            digests = self._worth_it(settings, last, credentials, seen)
        if digests is None:
            return last
        stamp = new_stamp(self.now(), digests)
        self._decided = last, stamp
        return stamp

    def next_at(self, settings: Settings, daemonset: Manifest | None) -> datetime | None:
        """Return when the next refresh, or the next question about one, is due."""
        due = refresh_due(settings, daemonset) if daemonset else None
        if due is None:
            return None
        now, interval = self.now(), settings.caching_interval
        again = self._in_order_at + interval if self._in_order_at else due
        latest = now + max(2 * interval, LONGEST_PAUSE)
        # What is later was noted while a clock was wrong, or by somebody else.
        times = [moment for moment in (due, again, self._not_before) if moment and moment <= latest]
        return max(times, default=now)

    def _worth_it(
        self,
        settings: Settings,
        last: Stamp,
        credentials: Callable[[], Sequence[Credential]],
        seen: Seen,
    ) -> dict[str, str] | None:
        """Return the digests of a refresh that is to be done, None when it is not, or not yet."""
        moving = {item.image for item in settings.images if parse_reference(item.image).moving}
        images = tuple(sorted(moving))
        if self._asked != images:
            self._question(settings, images, credentials())
        answers = self._answers_for(images)
        return None if answers is None else self._decide(answers, known_digests(last), seen)

    def _question(
        self, settings: Settings, images: tuple[str, ...], credentials: Sequence[Credential]
    ) -> None:
        with self._lock:
            self._asked, self._answers = images, None

        def work() -> None:
            answers: Answers = {}
            try:
                answers = self.ask(settings, images, credentials)
            finally:
                with self._lock:
                    if self._asked == images:
                        self._answers = answers
                self.answered()

        self.start(work)

    def _answers_for(self, images: tuple[str, ...]) -> Answers | None:
        """Return the answers about these images, once; None while they are not there."""
        with self._lock:
            if self._asked != images or self._answers is None:
                return None
            answers, self._answers, self._asked = self._answers, None, ()
            return answers

    def _decide(self, answers: Answers, known: Mapping[str, str], seen: Seen) -> dict[str, str] | None:
        told = {image: answer for image, answer in answers.items() if isinstance(answer, str)}
        verdict = judge(answers, known, seen() if told.keys() - known.keys() else {})
        reasons = {image: str(answer) for image, answer in answers.items() if isinstance(answer, KipError)}
        if verdict.moved or verdict.untold:
            self._not_before = self._in_order_at = None
            self.judged("moved" if verdict.moved else "unknown")
            log.info("refresh_begins", moved=verdict.moved or None, untold=_first(reasons, verdict.untold))
            return told
        if verdict.away:
            pause = max(ASK_AGAIN, timedelta(seconds=verdict.retry_after))
            self._not_before = self.now() + pause
            self.judged("postponed")
            log.warning(
                "refresh_postponed",
                away=_first(reasons, verdict.away),
                retry_in_s=pause.total_seconds(),
                remedy="let the keeper reach the registry, or set REFRESH to always",
            )
            return None
        self._not_before, self._in_order_at = None, self.now()
        self.judged("unmoved")
        log.info("refresh_not_needed", images=len(answers))
        return None


def _first(reasons: Mapping[str, str], images: Sequence[str]) -> dict[str, str] | None:
    """Return the reasons for a few of the images; a hundred would bury everything else."""
    return {image: reasons[image] for image in images[:3]} or None
