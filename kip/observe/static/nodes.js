// The matrix: a row for each node where they are few, else for all nodes that are alike. Failing ones first.

import { byId, keyed, make, many, mark, nameList, number, setText } from "./dom.js";
import { NodeMap } from "./map.js";

const FEW = 40;
const STEP = 40;
const SURVEYABLE = 12;

export class Nodes {
  constructor() {
    this.model = null;
    this.shown = STEP;
    this.open = new Set();
    this.map = new NodeMap(byId("map"), (node) => this.find(node));
    byId("find").addEventListener("input", () => this.restart());
    byId("more").addEventListener("click", () => {
      this.shown += STEP;
      this.show(this.model);
    });
  }

  restart() {
    this.shown = STEP;
    this.show(this.model);
  }

  /** Show one node, and what is known of it. */
  find(node) {
    const name = this.model.name(node);
    byId("find").value = name;
    this.open.add(`node ${name}`);
    this.restart();
    byId("matrix-rows").querySelector("button").focus();
  }

  show(model) {
    if (!model) return;
    this.model = model;
    const { nodes, wanted } = model.matrix;
    const note = [many(nodes.length, "node")];
    if (nodes.length > FEW) note.push(`those that are alike share a row, ${many(model.rows.length, "row")} in all`);
    if (wanted > nodes.length) note.push(`${number(wanted - nodes.length)} more have no cache pod yet`);
    setText(byId("nodes-note"), `${note.join("; ")}.`);
    byId("find").parentElement.hidden = nodes.length <= SURVEYABLE;
    this.map.show(model, nodes.length > FEW);
    const groups = this.groups();
    this.showHead();
    keyed(byId("matrix-rows"), this.withDetails(groups.slice(0, this.shown)), (row) => row.key,
      (row) => (row.detail ? make("tr", { className: "opened" }, make("td")) : this.newRow(row)),
      (element, row) => (row.detail ? this.fillDetail(element, row.group) : this.fillRow(element, row)));
    const left = groups.length - this.shown;
    byId("more").hidden = left <= 0;
    setText(byId("more"), `Show ${number(Math.min(left, STEP))} more of ${number(left)} rows`);
  }

  groups() {
    const { model } = this;
    const wanted = byId("find").value.trim().toLowerCase();
    if (!wanted && model.matrix.nodes.length > FEW) {
      return model.ranking.map((row) => (row.nodes.length === 1 ? this.single(row.nodes[0]) : {
        key: `nodes ${row.nodes.map((node) => model.name(node)).sort()[0]}`, row, nodes: row.nodes,
      }));
    }
    const matching = (node) => model.name(node).toLowerCase().includes(wanted);
    const found = model.ranked.filter(matching);
    // The one that was meant comes first.
    found.sort((one, other) => (model.name(other) === byId("find").value) - (model.name(one) === byId("find").value));
    return found.map((node) => this.single(node));
  }

  single(node) {
    return { key: `node ${this.model.name(node)}`, row: this.model.rowOf(node), nodes: [node] };
  }

  withDetails(groups) {
    return groups.flatMap((group) => (this.open.has(group.key)
      ? [group, { key: `about ${group.key}`, detail: true, group }] : [group]));
  }

  showHead() {
    const head = byId("matrix-head");
    const told = JSON.stringify(this.model.images.map((image) => [image.name, image.image]));
    if (head.told === told) return;
    head.told = told;
    head.replaceChildren(make("th", { scope: "col" }, "Node"),
      ...this.model.images.map((image) => make("th", { scope: "col", className: "cell", title: image.image }, make("bdi", {}, image.name))),
      make("td", { className: "rest" }));
  }

  newRow(group) {
    const button = make("button", { type: "button", "aria-expanded": "false" });
    button.addEventListener("click", () => {
      if (!this.open.delete(group.key)) this.open.add(group.key);
      this.show(this.model);
    });
    return make("tr", {}, make("th", { scope: "row" }, button));
  }

  fillRow(element, group) {
    const { model } = this;
    const button = element.firstChild.firstChild;
    const names = group.nodes.map((node) => model.name(node));
    const title = names.length === 1 ? names[0] : `${many(names.length, "node")} like ${names[0]}`;
    if (button.textContent !== title) button.replaceChildren(make("bdi", {}, title));
    button.setAttribute("aria-expanded", String(this.open.has(group.key)));
    const told = JSON.stringify(group.row.cells);
    if (element.told === told) return;
    element.told = told;
    while (element.children.length > 1) element.lastChild.remove();
    element.append(...group.row.cells.map((cell) => make("td", { className: "cell" }, mark(cell.state, cell.reason))), make("td", { className: "rest" }));
  }

  fillDetail(element, group) {
    const { model } = this;
    const told = JSON.stringify([group.nodes, group.row.cells]);
    if (element.told === told) return;
    element.told = told;
    const since = group.nodes.length === 1 ? model.matrix.since[group.nodes[0]] : "";
    const rows = group.row.cells.map((cell, place) => ({ cell, image: model.images[place] }))
      .sort((one, other) => (one.cell.state === "cached") - (other.cell.state === "cached"));
    const body = rows.map(({ cell, image }) => make("tr", {},
      make("th", { scope: "row" }, make("bdi", {}, image.name)),
      make("td", { className: "numbers" }, mark(cell.state), cell.state),
      make("td", {},
        cell.reason ? make("code", {}, cell.reason) : null,
        cell.message ? make("bdi", { className: "message" }, cell.message) : null,
        cell.digest ? make("bdi", { className: "reference" }, cell.digest) : null)));
    const place = element.firstChild;
    place.colSpan = model.images.length + 2;
    place.replaceChildren(
      ...(group.nodes.length > 1 ? [nameList(group.nodes.map((node) => model.name(node)).sort())] : []),
      ...(since ? [make("p", { className: "note-time" }, `Pinned as now since ${new Date(since).toLocaleString()}.`)] : []),
      make("table", { className: "told" },
        make("thead", { className: "sr" }, make("tr", {}, ...["Image", "State", "Why"].map((title) => make("th", { scope: "col" }, title)))),
        make("tbody", {}, ...body)));
  }
}
