// All nodes at a glance, a square each. It is a picture: the table below tells the same to everybody.

import { many, number, setText } from "./dom.js";

const TALLEST = 340;
const SIZES = [16, 14, 12, 11, 10, 9, 8, 7, 6, 5, 4];

export class NodeMap {
  constructor(place, choose) {
    this.place = place;
    [this.canvas, this.text] = place.children;
    this.hint = this.text.textContent;
    this.order = [];
    this.size = SIZES[0];
    new ResizeObserver(() => this.draw()).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    this.canvas.addEventListener("pointermove", (event) => this.point(event));
    this.canvas.addEventListener("pointerleave", () => setText(this.text, this.hint));
    this.canvas.addEventListener("click", (event) => {
      const node = this.at(event);
      if (node !== undefined) choose(node);
    });
  }

  show(model, wanted) {
    this.place.hidden = !wanted;
    if (!wanted) return;
    this.model = model;
    this.order = model.ranked;
    const counts = model.states.map((state) => [state, model.rows.reduce((sum, row) => sum + (row.state === state ? row.nodes.length : 0), 0)]);
    const told = counts.filter(([, count]) => count).map(([state, count]) => (state === "cached" ? `${number(count)} have everything` : `${number(count)} have an image that is ${state}`));
    this.canvas.setAttribute("aria-label", `${many(this.order.length, "node")}: ${told.join(", ")}`);
    this.draw();
  }

  draw() {
    const width = this.place.clientWidth;
    if (this.place.hidden || !width || !this.model) return;
    const rowsAt = (size) => Math.ceil(this.order.length / Math.floor(width / size));
    this.size = SIZES.find((size) => rowsAt(size) * size <= TALLEST) || SIZES[SIZES.length - 1];
    this.columns = Math.floor(width / this.size);
    const height = rowsAt(this.size) * this.size;
    const scale = devicePixelRatio || 1;
    this.canvas.width = width * scale;
    this.canvas.height = height * scale;
    this.canvas.style.height = `${height}px`;
    const pen = this.canvas.getContext("2d");
    pen.scale(scale, scale);
    const style = getComputedStyle(document.documentElement);
    const colours = Object.fromEntries(this.model.states.map((state) => [state, [style.getPropertyValue(`--${state}`), style.getPropertyValue(`--${state}-tint`)]]));
    this.order.forEach((node, place) => this.square(pen, place, this.model.rowOf(node).state, colours));
  }

  square(pen, place, state, colours) {
    const side = this.size - 2;
    const left = (place % this.columns) * this.size;
    const top = Math.floor(place / this.columns) * this.size;
    const [colour, tint] = colours[state];
    pen.fillStyle = state === "failed" ? colour : tint;
    pen.fillRect(left, top, side, side);
    pen.fillStyle = pen.strokeStyle = colour;
    if (state === "cached") {
      pen.globalAlpha = 0.45;
      pen.fillRect(left, top, side, side);
      pen.globalAlpha = 1;
    }
    if (state === "waiting") pen.fillRect(left + side / 3, top + side / 3, side / 3, side / 3);
    if (state === "pulling") pen.fillRect(left, top + side / 2, side, side / 2);
    if (state === "absent") pen.strokeRect(left + 0.75, top + 0.75, side - 1.5, side - 1.5);
    if (state === "failed") {
      pen.strokeStyle = colours.failed[1];
      pen.beginPath();
      pen.moveTo(left + side / 4, top + side / 4);
      pen.lineTo(left + (3 * side) / 4, top + (3 * side) / 4);
      pen.moveTo(left + (3 * side) / 4, top + side / 4);
      pen.lineTo(left + side / 4, top + (3 * side) / 4);
      pen.stroke();
    }
  }

  at(event) {
    const column = Math.floor(event.offsetX / this.size);
    if (column >= this.columns) return undefined;
    return this.order[Math.floor(event.offsetY / this.size) * this.columns + column];
  }

  point(event) {
    const node = this.at(event);
    if (node === undefined) return setText(this.text, this.hint);
    const lacking = this.model.rowOf(node).cells.map((cell, image) => ({ ...cell, name: this.model.images[image].name })).filter((cell) => cell.state !== "cached");
    const some = lacking.slice(0, 3).map((cell) => `${cell.name} ${cell.state}${cell.reason ? ` (${cell.reason})` : ""}`);
    if (lacking.length > 3) some.push(`${lacking.length - 3} more`);
    setText(this.text, `${this.model.name(node)}: ${some.join(", ") || "has everything"}`);
    return undefined;
  }
}
