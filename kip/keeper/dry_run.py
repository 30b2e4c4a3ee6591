"""What the API server would make of the wanted cache, before anything is touched.

A dry run validates it and fills in the defaults. An image that is refused is left out, so that it takes no
other down; anything else that is refused keeps the settings from being taken.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from kip.cluster.api import DAEMONSETS, Cluster
from kip.config.diagnostics import show
from kip.config.settings import Settings
from kip.core.render.admission_errors import entries_at_fault, problems_of
from kip.core.rollout.bridge import placeholder_of
from kip.core.rollout.plan_types import Target
from kip.errors import ApiError, Forbidden, Invalid, Problem, SettingsError

Manifest = dict[str, Any]
Render = Callable[[Settings], Manifest]

RBAC_SAYS = "cannot create resource"
"""A missing right, as RBAC words it: not a word about the image, and soon over if the server just started."""

LASTING_SECONDS = 600.0
"""A refusal of an image that is on the nodes counts after so long."""

REMEDY = "Correct or remove it; all other images are cached."

log = structlog.get_logger()


class RejectionPending(SettingsError):
    """The refusal has to last before it counts."""


@dataclass(slots=True)
class DryRunValidator:
    """Asks the API server, and remembers the answers until `forget`. `clock` tells monotonic seconds."""

    cluster: Cluster
    clock: Callable[[], float]
    _answers: list[tuple[Manifest, Manifest]] = field(default_factory=list)
    _reduced: tuple[Manifest, Settings] | None = None
    _refused: tuple[Manifest, SettingsError] | None = None
    _left_out: dict[str, str] = field(default_factory=dict)
    _refused_since: dict[str, float] = field(default_factory=dict)

    def forget(self) -> None:
        """Ask anew."""
        self._answers.clear()
        self._reduced = self._refused = None

    def accept(
        self, settings: Settings, render: Render, cached: frozenset[str] = frozenset()
    ) -> tuple[Settings, Target]:
        """Return the settings without the images that the API server refuses, and the cache they make.

        One that is `cached` already is left out only when it is still refused after a while: a policy that
        is out of order for a moment is to cost no pin.

        Raises SettingsError when it refuses more than single images, any other ApiError as it comes.
        """
        whole = render(settings)
        listed = {entry.image for entry in settings.images}
        self._refused_since = {image: at for image, at in self._refused_since.items() if image in listed}
        if self._refused and self._refused[0] == whole:
            raise self._refused[1]
        if self._reduced and self._reduced[0] == whole:
            settings = self._reduced[1]
        try:
            settings, target = self._reduce(settings, render, cached)
        except RejectionPending:
            raise
        except SettingsError as error:
            self._refused = whole, error
            raise
        self._reduced = whole, settings
        return settings, target

    def target(self, manifest: Manifest) -> Target:
        """Return the manifest with what the API server makes of it."""
        if (known := self._remembered(manifest)) is not None:
            return Target(manifest, known)
        answer = self.cluster.create(DAEMONSETS, manifest["metadata"]["namespace"], manifest, dry_run=True)
        self._answers[2:] = []  # the cache and its holder, and what they were before
        self._answers.insert(0, (manifest, answer))
        return Target(manifest, answer)

    def _remembered(self, manifest: Manifest) -> Manifest | None:
        return next((answer for asked, answer in self._answers if asked == manifest), None)

    def _reduce(self, settings: Settings, render: Render, cached: frozenset[str]) -> tuple[Settings, Target]:
        while True:
            wanted = render(settings)
            known = self._remembered(wanted) is not None
            try:
                target = self.target(wanted)
            except (Invalid, Forbidden) as error:
                settings = self._without_faulty(settings, error, wanted, render, cached)
            else:
                for entry in () if known else settings.images:
                    self._refused_since.pop(entry.image, None)
                return settings, target

    def _without_faulty(
        self,
        settings: Settings,
        error: ApiError,
        wanted: Manifest,
        render: Render,
        cached: frozenset[str],
    ) -> Settings:
        faulty = entries_at_fault(error.causes) or self._tried_alone(settings, wanted, render)
        kept = tuple(entry for index, entry in enumerate(settings.images) if index not in faulty)
        if not faulty or not kept:
            if isinstance(error, Forbidden):
                raise error  # a right that is missing is no fault of the settings
            raise SettingsError(problems_of(str(error), error.causes)) from error
        images = {settings.images[index].image for index in faulty}
        if new := [image for image in sorted(images & cached) if self._is_new(image)]:
            raise RejectionPending(tuple(_not_yet(image, str(error)) for image in new)) from error
        for index, message in faulty.items():
            entry = settings.images[index]
            if self._left_out.get(entry.name) != entry.image:
                self._left_out[entry.name] = entry.image
                log.warning(
                    "entry_refused",
                    key=f"IMAGES ({entry.name})",
                    value=show(entry.image),
                    problem=f"the API server refuses it: {message}",
                    remedy=REMEDY,
                )
        return replace(settings, images=kept)

    def _is_new(self, image: str) -> bool:
        """Whether the refusal of this image has not lasted yet."""
        now = self.clock()
        return now - self._refused_since.setdefault(image, now) < LASTING_SECONDS

    def _tried_alone(self, settings: Settings, wanted: Manifest, render: Render) -> dict[int, str]:
        """Return the images that are refused alone, while a cache without any is fine: a policy's work."""
        if len(settings.images) == 1 or self._refusal(placeholder_of(wanted, adopts=True)):
            return {}
        alone = (render(replace(settings, images=(entry,))) for entry in settings.images)
        refusals = ((index, self._refusal(manifest)) for index, manifest in enumerate(alone))
        return {index: str(refusal) for index, refusal in refusals if refusal}

    def _refusal(self, manifest: Manifest) -> ApiError | None:
        try:
            self.cluster.create(DAEMONSETS, manifest["metadata"]["namespace"], manifest, dry_run=True)
        except (Invalid, Forbidden) as error:
            if RBAC_SAYS in str(error):
                raise
            return error
        return None


def _not_yet(image: str, message: str) -> Problem:
    minutes = round(LASTING_SECONDS / 60)
    return Problem(
        "IMAGES",
        show(image),
        f"the API server now refuses what is cached: {message}",
        f"It is left out if that lasts for {minutes} minutes; until then the cache stays as it is.",
    )
