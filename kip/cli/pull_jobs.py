"""What `kip pull` is to do: jobs from manifests, or from what was typed."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kip.cli.output import remark
from kip.config import sources
from kip.errors import JobError, Problem, UsageError
from kip.pulljob.manifest_reader import LIST, ONE, VERSIONS, is_job, read_job
from kip.pulljob.spec import DEFAULT_TIMEOUT_SECONDS, PullJob, short_hash

SETTABLE = ("image", "name")
_IN = re.compile(r"(\S+)\s+(in|notin)\s+\(([^()]*)\)")
_TERMS = re.compile(r",(?![^()]*\))")


@dataclass(frozen=True, slots=True)
class Typed:
    """A job as typed: images and options; seconds are None, words empty where nothing was given."""

    images: tuple[str, ...]
    nodes: str = ""
    selector: str = ""
    pods: str = ""
    parallelism: int | None = None
    timeout: float | None = None
    retries: int | None = None
    deadline: float | None = None
    secrets: tuple[str, ...] = ()
    policy: str = ""
    name: str = ""

    @property
    def options(self) -> list[str]:
        """Return the options that a manifest has fields for."""
        given = {
            "--nodes": self.nodes,
            "--selector": self.selector,
            "--pods": self.pods,
            "--parallelism": self.parallelism,
            "--timeout": self.timeout,
            "--retries": self.retries,
            "--deadline": self.deadline,
            "--secret": self.secrets,
            "--pull-policy": self.policy,
        }
        return [option for option, value in given.items() if value not in ("", None, ())]


def from_files(files: Sequence[str], sets: Sequence[str], namespace: str, default: str) -> list[PullJob]:
    """Return the jobs of all manifests. Raises UsageError, and JobError with the problems of all jobs.

    `namespace` was typed, "" if none was; `default` is for a manifest that names none.
    """
    values = _sets(sets)
    documents = [document for path in files for document in sources.from_manifests(path)]
    found = [document for document in documents if is_job(document)]
    for document in documents:
        if not is_job(document):
            kind = document.get("kind") if isinstance(document, Mapping) else None
            remark(f"left out: {kind or 'a document without a kind'} is no pull job")
    if not found:
        raise UsageError(
            "there is no pull job in what was given", hint=f"Give a manifest of an {ONE} or {LIST}."
        )
    if "name" in values and len(found) > 1:
        raise UsageError("--set name=... would give several jobs the same name", hint="Give one job.")
    return _read_all([_with(document, values) for document in found], namespace, default)


def from_typed(typed: Typed, namespace: str) -> PullJob:
    """Return the job that was typed. Raises UsageError, JobError."""
    if len([text for text in (typed.nodes, typed.selector, typed.pods) if text]) > 1:
        raise UsageError("--nodes, --selector and --pods exclude each other", hint="Give one of them.")
    images = list(dict.fromkeys(typed.images))
    timeout = typed.timeout or min(typed.deadline or DEFAULT_TIMEOUT_SECONDS, DEFAULT_TIMEOUT_SECONDS)
    completion = {"activeDeadlineSeconds": round(typed.deadline)} if typed.deadline else {}
    # The same images make the same name: the run after one that was killed finds its pods.
    name = typed.name or f"pull-{short_hash(' '.join(images))}"
    return read_job(
        {
            "apiVersion": VERSIONS[0],
            "kind": LIST,
            "metadata": {"name": name},
            "spec": {
                "images": images,
                "pullSecrets": list(dict.fromkeys(typed.secrets)),
                "parallelism": 10 if typed.parallelism is None else typed.parallelism,
                "pullPolicy": {
                    "timeoutSeconds": round(timeout),
                    "backoffLimit": 3 if typed.retries is None else typed.retries,
                },
                "completionPolicy": completion,
                **({"imagePullPolicy": typed.policy} if typed.policy else {}),
                **_selection(typed),
            },
        },
        namespace=namespace,
    )


def held(job: PullJob, seconds: float, run: str) -> PullJob:
    """Return the job whose pods hold what they pulled for so long.

    `run` tells it from an earlier run, whose pods end at their own time, and do not count as this one's.
    """
    return replace(job, keep_seconds=round(seconds), key=short_hash(f"{job.key}/{run}"))


def selector_of(text: str) -> dict[str, Any]:
    """Return the label selector that `text` is, as kubectl reads it: a=b,c!=d,e in (f,g),h,!i."""
    labels: dict[str, str] = {}
    expressions: list[dict[str, Any]] = []
    for term in filter(None, (term.strip() for term in _TERMS.split(text))):
        if match := _IN.fullmatch(term):
            values = [value.strip() for value in match[3].split(",")]
            operator = {"in": "In", "notin": "NotIn"}[match[2]]
            expressions.append({"key": match[1], "operator": operator, "values": values})
        elif "!=" in term:
            key, _, value = term.partition("!=")
            expressions.append({"key": key.strip(), "operator": "NotIn", "values": [value.strip()]})
        elif "=" in term:
            key, _, value = term.partition("=")
            labels[key.strip()] = value.removeprefix("=").strip()
        else:
            operator = "DoesNotExist" if term.startswith("!") else "Exists"
            expressions.append({"key": term.removeprefix("!"), "operator": operator})
    return {"matchLabels": labels, "matchExpressions": expressions}


def _selection(typed: Typed) -> dict[str, Any]:
    if typed.nodes:
        return {"selector": {"names": [name.strip() for name in typed.nodes.split(",") if name.strip()]}}
    if typed.selector:
        return {"selector": selector_of(typed.selector)}
    return {"podSelector": selector_of(typed.pods)} if typed.pods else {}


def _sets(sets: Sequence[str]) -> dict[str, str]:
    found = {}
    for text in sets:
        key, sign, value = text.partition("=")
        if not sign or key not in SETTABLE:
            raise UsageError(f"--set {text}: cannot be set", hint="Write --set image=... or --set name=...")
        found[key] = value
    return found


def _with(document: Mapping[str, Any], values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the manifest with the values set, whatever place holders stood there."""
    if "image" in values and document["kind"] == LIST:
        raise UsageError(f"--set image=... is not for an {LIST}", hint="Write the images into the manifest.")
    given = [document.get(part) or {} for part in ("metadata", "spec")]
    if not all(isinstance(part, Mapping) for part in given):
        return document  # whoever reads it says what is wrong
    metadata, spec = map(dict, given)
    if "name" in values:
        metadata["name"] = values["name"]
    if "image" in values:
        spec["image"] = values["image"]
    return {**document, "metadata": metadata, "spec": spec}


def _read_all(documents: Iterable[Mapping[str, Any]], namespace: str, default: str) -> list[PullJob]:
    jobs: list[PullJob] = []
    problems: list[Problem] = []
    for document in documents:
        metadata = document.get("metadata")
        named = metadata.get("namespace") if isinstance(metadata, Mapping) else None
        if namespace and named and named != namespace:
            raise UsageError(
                f"the job is for namespace {named}, and -n says {namespace}", hint="Leave one of the two out."
            )
        try:
            jobs.append(read_job(document, namespace=namespace or default))
        except JobError as error:
            problems += error.problems
    if problems:
        raise JobError(tuple(problems))
    return jobs
