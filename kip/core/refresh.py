"""When the nodes are told to look at moving tags again."""

from datetime import UTC, datetime
from typing import Any

from kip.config.settings import Refresh, Settings
from kip.core.render import REFRESHED_AT, has_moving_tags

Manifest = dict[str, Any]


def refresh_stamp(settings: Settings, daemonset: Manifest | None, now: datetime) -> str:
    """Return the time of the refresh that the pods should carry: the last one, or `now` when one is due."""
    if daemonset is None:
        return ""
    last = last_refresh(daemonset)
    due = refresh_due(settings, daemonset)
    return _format(now) if due and now >= due else last


def refresh_due(settings: Settings, daemonset: Manifest) -> datetime | None:
    """Return when the next refresh is due, None when the settings ask for none."""
    if settings.refresh is Refresh.NEVER:
        return None
    if settings.refresh is Refresh.AUTO and not has_moving_tags(settings):
        return None
    last = last_refresh(daemonset) or daemonset["metadata"]["creationTimestamp"]
    return _parse(last) + settings.caching_interval


def last_refresh(daemonset: Manifest) -> str:
    """Return the time of the last refresh as the pods carry it, "" before the first."""
    annotations = daemonset["spec"]["template"]["metadata"].get("annotations") or {}
    stamp = str(annotations.get(REFRESHED_AT, ""))
    try:
        _parse(stamp)
    except ValueError:
        return ""  # somebody wrote there; the next refresh puts it right
    return stamp


def _parse(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _format(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
