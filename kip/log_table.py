"""Every log event of kip: its keys and its meaning. docs/logs.md is made from this table.

tests/test_log_table.py holds it against the code.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One event; `keys` are those that it may have besides timestamp, level and event, parted by spaces."""

    name: str
    level: str
    keys: str
    meaning: str


LEASE = "lease me"
JOB = "job namespace"

TABLE = (
    LogEvent("keeper_started", "info", "version http_address", "The keeper runs."),
    LogEvent("keeper_stopping", "info", "signal cache", "It ends, and what becomes of the cache."),
    LogEvent("shutdown_cut_short", "debug", "signal", "The API server did not answer before the end."),
    LogEvent(
        "reconcile_done",
        "info",
        "trigger plan reasons pending outcome state nodes ready updated duration_s",
        "The one line of a reconcile: what woke it, what it found and did. Level debug without news.",
    ),
    LogEvent(
        "reconcile_failed",
        "error",
        "trigger error message remedy failures retry_in_s duration_s",
        "A reconcile failed, why, what to do, and when it is tried again.",
    ),
    LogEvent(
        "fault", "warning", "trigger exception", "kip itself is at fault; it goes on. Please report it."
    ),
    LogEvent(
        "settings_taken", "info", "images daemonset interval", "New settings are in force; so many images."
    ),
    LogEvent(
        "settings_refused",
        "warning",
        "problems in_force",
        "The newest settings cannot be used: every problem with key, value and remedy.",
    ),
    LogEvent(
        "entry_refused",
        "warning",
        "key value problem remedy",
        "One image is left out; all others are cached.",
    ),
    LogEvent(
        "setting_corrected",
        "warning",
        "key value problem remedy",
        "A value was read as something better, or odd.",
    ),
    LogEvent(
        "configmap_not_watched",
        "warning",
        "namespace name error consequence remedy",
        "The settings in the ConfigMap may not be read.",
    ),
    LogEvent(
        "configmap_gone",
        "warning",
        "namespace name consequence remedy",
        "The ConfigMap was deleted; what it said last counts until it is back.",
    ),
    LogEvent(
        "drift_detected", "warning", "by reasons", "Somebody else changed the cache; it is brought back."
    ),
    LogEvent(
        "fight_detected",
        "error",
        "by changes_per_minute reasons pause_s remedy",
        "Somebody else changes the cache again and again.",
    ),
    LogEvent(
        "net_refused",
        "warning",
        "error consequence remedy",
        "No second DaemonSet may be made to hold the pins during a change.",
    ),
    LogEvent(
        "refused_pods_left",
        "warning",
        "error consequence remedy",
        "Pods that a kubelet refused may not be deleted.",
    ),
    LogEvent("refresh_begins", "info", "moved untold", "The nodes look again at moving tags, and why."),
    LogEvent("refresh_not_needed", "info", "images", "No tag has moved."),
    LogEvent("refresh_postponed", "warning", "away retry_in_s remedy", "No registry answered."),
    LogEvent(
        "pull_secret_unusable", "warning", "name error", "A pull secret cannot be used to ask registries."
    ),
    LogEvent("lease_acquired", "info", f"{LEASE} transitions", "This keeper acts."),
    LogEvent("lease_waiting", "info", f"{LEASE} holder", "Another keeper acts; this one stands by."),
    LogEvent("lease_lost", "warning", f"{LEASE} holder error", "This keeper no longer acts."),
    LogEvent("lease_released", "info", LEASE, "The next keeper need not wait."),
    LogEvent("lease_not_released", "warning", f"{LEASE} error consequence", "The next keeper has to wait."),
    LogEvent(
        "lease_not_used",
        "warning",
        f"{LEASE} problem consequence remedy",
        "No lease may be held: two keepers of one cache would both act.",
    ),
    LogEvent(
        "watch_interrupted",
        "warning",
        "resource namespace name error failures retry_in_s",
        "A watch broke off and is begun anew.",
    ),
    LogEvent(
        "pods_not_created", "warning", "job error", "No pod of a pull job could be made; it is tried again."
    ),
    LogEvent(
        "pod_not_deleted", "warning", "name error", "A pod of a pull job is not gone yet; it is tried again."
    ),
    LogEvent(
        "pods_left",
        "warning",
        "job namespace error",
        "Pods of a pull job could not be removed; they end by themselves.",
    ),
    LogEvent("nodes_not_read", "warning", "error", "The nodes of a pull job are those of the last look."),
    LogEvent("clock_jumped", "warning", "by_s", "The wall clock was set; all timers are set anew."),
    LogEvent("survey_failed", "warning", "error", "The cache pods could not be looked at."),
    LogEvent(
        "reporting_failed", "warning", "error exception", "Metrics or Events could not be brought up to date."
    ),
    LogEvent("event_not_written", "warning", "error", "The API server did not take an Event."),
    LogEvent("pull_jobs_run", "info", "", "Pull jobs are run; nothing stands in the way any more."),
    LogEvent(
        "pull_jobs_not_run",
        "warning",
        "reason",
        "No pull job is run: OpenKruise is installed, or the definitions are missing, or cannot be seen.",
    ),
    LogEvent(
        "pull_jobs_blocked", "warning", "namespace error", "Pull jobs of a namespace cannot be run for now."
    ),
    LogEvent(
        "pull_job_ended",
        "info",
        f"{JOB} message nodes succeeded failed seconds",
        "A pull job is over: on how many nodes all its images are, and on how many not.",
    ),
    LogEvent("pull_job_edited", "info", JOB, "A pull job has another spec, and goes on with that."),
    LogEvent("pull_job_expired", "info", JOB, "A pull job is deleted: ttlSecondsAfterFinished is over."),
    LogEvent(
        "pull_job_delayed",
        "warning",
        f"{JOB} error retry_in_s",
        "A pull job could not go on, and will again.",
    ),
    LogEvent(
        "pull_job_record_unreadable",
        "warning",
        f"{JOB} error",
        "What was known of a pull job cannot be read; it begins anew.",
    ),
)
