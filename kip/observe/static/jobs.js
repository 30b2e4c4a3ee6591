// Pull jobs: one row each, failing ones open with what fails.

import { byId, keyed, make, many, number, setText } from "./dom.js";

const SIGNS = { running: "↓", paused: "…", complete: "✓", failed: "✕", refused: "✕", blocked: "○" };
const LIKE = { running: "pulling", paused: "waiting", complete: "cached", failed: "failed", refused: "failed", blocked: "absent" };

export function showJobs(jobs) {
  byId("jobs").hidden = !jobs.length;
  keyed(byId("job-rows"), jobs, (job) => JSON.stringify([job.kind, job.namespace, job.name]), newJob, (row, job) => {
    const [, phase, count, said] = row.children;
    phase.firstChild.className = `mark ${LIKE[job.phase]}`;
    setText(phase.firstChild, SIGNS[job.phase]);
    setText(phase.lastChild, job.phase);
    const pulling = job.active ? `, ${number(job.active)} pulling` : "";
    const failed = job.failed ? `, ${number(job.failed)} failed` : "";
    setText(count, `${number(job.succeeded)} of ${many(job.desired, "node")}${pulling}${failed}`);
    setText(said.firstChild, job.message);
    keyed(said.lastChild, job.failures, (failure) => failure, (failure) => make("li", {}, failure), () => {});
  });
}

function newJob(job) {
  return make("tr", {},
    make("th", { scope: "row" }, make("bdi", {}, `${job.namespace}/${job.name}`), make("bdi", { className: "reference" }, job.kind)),
    make("td", {}, make("span", { "aria-hidden": "true" }), " ", make("span")),
    make("td", { className: "numbers" }),
    make("td", {}, make("bdi"), make("ul", { className: "messages message" })));
}
