// Reads what there is to show again and again, and shows it when it has changed.

import { byId, setText } from "./dom.js";
import { showJobs } from "./jobs.js";
import { Model } from "./model.js";
import { Nodes } from "./nodes.js";
import { headline, showFaults, showHistory, showImages, showProblems, showSummary } from "./parts.js";

const PAUSE = 3000;
const LONGEST_PAUSE = 30000;
const PATIENCE = 15000;

const nodes = new Nodes();
let tag = "";
let said = "";
let failures = 0;
let timer = 0;
let reading = false;

/** Ask for the document, and show it where it is a new one. */
async function read() {
  if (reading) return;
  reading = true;
  clearTimeout(timer);
  const patience = new AbortController();
  const end = setTimeout(() => patience.abort(), PATIENCE);
  try {
    const answer = await fetch("page.json", {
      cache: "no-store",
      headers: tag ? { "If-None-Match": tag } : {},
      signal: patience.signal,
    });
    if (answer.status !== 304) {
      if (!answer.ok) throw new Error(`it answers ${answer.status}`);
      show(await answer.json());
      tag = answer.headers.get("ETag") || "";
    }
    found(answer.headers.get("Kip-Age"));
  } catch (error) {
    lost(error);
  }
  clearTimeout(end);
  reading = false;
  if (!document.hidden) timer = setTimeout(read, Math.min(PAUSE * 2 ** Math.min(failures, 8), LONGEST_PAUSE));
}

function show(told) {
  const model = told.matrix ? new Model(told.matrix) : null;
  const words = headline(told, model);
  document.title = `${words} - kip`;
  setText(byId("cache"), told.matrix ? told.matrix.cache : "");
  setText(byId("version"), told.version);
  byId("known").hidden = !model;
  showProblems(told.problems);
  showSummary(told, model);
  showFaults(model);
  if (model) {
    nodes.show(model);
    showImages(model);
  }
  showJobs(told.jobs);
  showHistory(told.history);
  announce(told.matrix && told.matrix.state === "filling" ? "Filling" : words);
}

/** Say a change of the state to screen readers; the counts of a cache that fills would be chatter. */
function announce(words) {
  if (said && said !== words) setText(byId("announce"), words);
  said = words;
}

function found(age) {
  failures = 0;
  byId("lost").hidden = true;
  setText(byId("age"), age ? `Nodes looked at ${ago(Number(age))}` : "");
  document.body.dataset.read = String(Number(document.body.dataset.read || 0) + 1);
}

function ago(seconds) {
  if (seconds < 10) return "just now";
  if (seconds < 120) return `${Math.floor(seconds / 10) * 10} s ago`;
  return seconds < 7200 ? `${Math.floor(seconds / 60)} min ago` : `${Math.floor(seconds / 3600)} h ago`;
}

function lost(error) {
  failures += 1;
  console.warn(error);
  if (failures > 1) {
    const place = byId("lost");
    const reason = error instanceof Error && error.message.startsWith("it answers") ? error.message : "no answer";
    setText(place, `Nothing new can be read (${reason}); what is shown is old. It is tried again by itself.`);
    place.hidden = false;
    document.title = "No answer - kip";
    said = "No answer";
    tag = ""; // the next answer is shown whole, title and all
  }
}

document.addEventListener("visibilitychange", () => document.hidden || read());
read();
