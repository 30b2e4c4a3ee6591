"""What the settings call an image in a pod: a webhook may have the pod take the same one from a mirror."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self

from kip.core.render.daemonset import TEMPLATE

Manifest = dict[str, Any]


@dataclass(slots=True)
class ImageNames:
    """The images as the DaemonSets list them; a webhook may have the pods pull the same from a mirror."""

    images: set[str] = field(default_factory=set)
    by_template: dict[str, dict[str, str]] = field(default_factory=dict)
    by_name: dict[str, str] = field(default_factory=dict)

    @classmethod
    def by(cls, daemonsets: Iterable[Manifest]) -> Self:
        """Read the templates, the one that counts most last."""
        listed = cls()
        for daemonset in daemonsets:
            template = daemonset["spec"]["template"]
            names = {item["name"]: item["image"] for item in template["spec"]["containers"]}
            listed.images.update(names.values())
            listed.by_template[fingerprint_in(template["metadata"])] = names
            listed.by_name |= names
        return listed

    def name_of(self, image: str, container: str, template: str) -> str:
        """Return what the settings call the image of a container in a pod made from that template."""
        if image in self.images:
            return image
        if template in self.by_template:
            return self.by_template[template].get(container, image)
        # An older template, in which that container may have had another tag; mirrors keep the last part.
        name = self.by_name.get(container, image)
        return name if _last_part(name) == _last_part(image) else image


def fingerprint_in(metadata: Manifest) -> str:
    """Return the fingerprint of the template that a pod was made from, "" for none of kip's."""
    return str((metadata.get("annotations") or {}).get(TEMPLATE, ""))


def _last_part(image: str) -> str:
    return image.rpartition("/")[2]
