// Summary, faults, images and history.

import { byId, fillBar, keyed, make, many, mark, nameList, number, setText } from "./dom.js";

/** The state in a few words, for the headline, the title and screen readers. */
export function headline(document, model) {
  if (!model) return "Not known";
  switch (document.matrix.state) {
    case "complete": return "Complete";
    case "failing": return `${many(model.troubled, "node")} failing`;
    case "counting": return "Nodes are being counted";
    case "no matching nodes": return "No node matches";
    default: {
      const wanted = Math.max(document.matrix.wanted, document.matrix.nodes.length) * model.images.length;
      return `Filling: ${Math.floor((100 * model.totals[model.states.indexOf("cached")]) / Math.max(1, wanted))} %`;
    }
  }
}

export function showSummary(document, model) {
  byId("summary").dataset.state = model ? document.matrix.state : "unknown";
  setText(byId("headline"), headline(document, model));
  setText(byId("verdict"), model ? document.matrix.verdict : `Nothing is known of the images: ${document.unknown}.`);
  const totals = model ? model.totals : [];
  byId("total").hidden = byId("legend").hidden = !model;
  if (!model) return;
  fillBar(byId("total"), model.states, totals);
  keyed(byId("legend"), model.states, (state) => state,
    (state) => make("li", {}, make("span", { className: `mark ${state}`, "aria-hidden": "true" }, mark(state).textContent), make("b"), state),
    (item, state) => setText(item.children[1], number(totals[model.states.indexOf(state)])));
}

export function showProblems(problems) {
  const list = byId("problems");
  list.hidden = !Object.keys(problems).length;
  keyed(list, Object.entries(problems), ([name]) => name,
    ([name]) => make("li", {}, make("b", {}, `${name}: `), make("bdi")),
    (item, [, problem]) => setText(item.lastChild, problem));
}

export function showFaults(model) {
  const faults = model ? model.matrix.faults.map((fault, place) => ({ ...fault, place })) : [];
  byId("failing").hidden = !faults.length;
  const subject = (fault) => (fault.image === null ? "all images" : model.images[fault.image].name);
  keyed(byId("faults"), faults, (fault) => JSON.stringify([fault.image === null, subject(fault), fault.reason]), newFault, (item, fault) => {
    const state = model.states[fault.state];
    const [sign, nodes, name, reason, message] = item.querySelector("summary").children;
    sign.replaceChildren(mark(state));
    setText(nodes, many(fault.nodes, "node"));
    setText(name, subject(fault));
    setText(reason, fault.reason);
    setText(message, fault.messages[0][0]);
    const details = item.firstChild;
    details.fill = () => fillFault(details.lastChild, fault, model);
    if (details.open) details.fill();
  });
}

function newFault() {
  const parts = [make("span"), make("b"), make("bdi"), make("code"), make("span", { className: "message" })];
  const details = make("details", {}, make("summary", {}, ...parts), make("div", { className: "body" }));
  details.addEventListener("toggle", () => details.open && details.fill());
  return make("li", {}, details);
}

function fillFault(body, fault, model) {
  const told = JSON.stringify([fault, model.matrix.row]);
  if (body.told === told) return; // what is scrolled and focused there stays
  body.told = told;
  const messages = fault.messages.filter(([message]) => message);
  const counted = messages.length > 1;
  body.replaceChildren(
    ...(fault.image === null ? [] : [make("bdi", { className: "reference" }, model.images[fault.image].image)]),
    make("ul", { className: "messages message" }, ...messages.map(([message, nodes]) =>
      make("li", {}, message, counted ? ` (${many(nodes, "node")})` : ""))),
    ...(fault.remedy ? [make("p", { className: "remedy" }, make("b", {}, "What to do: "), fault.remedy)] : []),
    nameList(model.nodesOf(fault.place).map((node) => model.name(node)).sort()),
  );
}

export function showImages(model) {
  const cached = model.states.indexOf("cached");
  const wanted = Math.max(model.matrix.wanted, model.matrix.nodes.length);
  const bad = (image) => ["failed", "absent"].reduce((sum, state) => sum + image.counts[model.states.indexOf(state)], 0);
  const order = model.images.map((image, place) => ({ ...image, place })).sort((one, other) => bad(other) - bad(one) || one.place - other.place);
  keyed(byId("image-rows"), order, (image) => JSON.stringify([image.name, image.image]), newImage, (row, image) => {
    const [, progress, lacks] = row.children;
    const [bar, count] = progress.firstChild.children;
    fillBar(bar, model.states, image.counts);
    setText(count, `${number(image.counts[cached])} of ${number(wanted)}`);
    const missing = model.states.filter((state, place) => place !== cached && image.counts[place]);
    keyed(lacks.firstChild, missing, (state) => state,
      (state) => make("span", {}, make("span", { className: `mark ${state}`, "aria-hidden": "true" }, mark(state).textContent), make("span")),
      (item, state) => setText(item.lastChild, `${number(image.counts[model.states.indexOf(state)])} ${state}`));
    showDigests(lacks.lastChild, model.digestsOf(image.place));
  });
}

function newImage(image) {
  return make("tr", {},
    make("th", { scope: "row" }, make("bdi", {}, image.name), make("bdi", { className: "reference" }, image.image)),
    make("td", {}, make("div", { className: "progress" }, make("div", { className: "bar", "aria-hidden": "true" }), make("span", { className: "numbers" }))),
    make("td", {}, make("div", { className: "lacks" }), make("details", { className: "digests" }, make("summary", {}, make("span")), make("ul", { className: "message" }))));
}

/** Nodes that have different images under one tag are worth a look. */
function showDigests(details, digests) {
  details.hidden = digests.length < 2;
  setText(details.firstChild.firstChild, `${digests.length} different digests`);
  keyed(details.lastChild, digests, ([digest]) => digest, () => make("li"),
    (item, [digest, nodes]) => setText(item, `${digest} (${many(nodes, "node")})`));
}

export function showHistory(history) {
  byId("past").hidden = history === null;
  if (history === null) return;
  byId("past-none").hidden = history.length > 0;
  const seen = new Map();
  const times = (notice) => {
    const text = JSON.stringify(notice);
    seen.set(text, (seen.get(text) || 0) + 1);
    return `${text} ${seen.get(text)}`;
  };
  keyed(byId("history"), history, times, (notice) => {
    const time = make("time", { className: "note-time", dateTime: notice.at, title: notice.at }, new Date(notice.at).toLocaleString());
    return make("li", { className: notice.warning ? "warning" : "" }, time,
      make("p", {}, make("b", {}, notice.warning ? `⚠ ${notice.reason}` : notice.reason), " ", make("bdi", {}, notice.note)));
  });
}
