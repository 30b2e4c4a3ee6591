// Building the page: of elements and text only, nothing is ever read as markup.

export const MARKS = { cached: "✓", pulling: "↓", waiting: "…", failed: "✕", absent: "○" };

export const byId = (id) => document.getElementById(id);

/** Make an element: `make("li", { className: "x" }, "text", child)`. */
export function make(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (name.includes("-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** The sign of a state; colour is never the only one. `more` is said to screen readers and on hovering. */
export function mark(state, more = "") {
  const text = more ? `${state}: ${more}` : state;
  return make("span", { className: `mark ${state}`, role: "img", "aria-label": text, title: text }, MARKS[state]);
}

/** A bar of counts by state, good ones first. */
export function fillBar(bar, states, counts) {
  const order = ["cached", "failed", "absent", "pulling", "waiting"].filter((state) => counts[states.indexOf(state)]);
  keyed(bar, order, (state) => state, (state) => make("i", { className: state }), (segment, state) => {
    segment.style.flexGrow = counts[states.indexOf(state)];
  });
}

/** Have one child for each item, in their order. Children of the same key stay: focus and what is open, too. */
export function keyed(parent, items, key, create, update) {
  const focused = document.activeElement;
  const before = new Map();
  for (const child of [...parent.children]) {
    if (before.has(child.dataset.key)) child.remove();
    else before.set(child.dataset.key, child);
  }
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    let child = before.get(name);
    if (child) before.delete(name);
    else {
      child = create(item);
      child.dataset.key = name;
    }
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
    if (update) update(child, item);
  }
  for (const child of before.values()) child.remove();
  if (focused !== document.activeElement && focused && focused.isConnected) focused.focus({ preventScroll: true });
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export const number = (value) => value.toLocaleString("en");

export const many = (count, what) => `${number(count)} ${what}${count === 1 ? "" : "s"}`;

/** Names in a list, the first ones only until all are asked for. */
export function nameList(names, most = 60) {
  const list = make("ul", { className: "names name", tabIndex: 0, "aria-label": "Nodes" });
  const add = (some) => list.append(...some.map((name) => make("li", {}, name)));
  add(names.slice(0, most));
  if (names.length > most) {
    const all = make("button", { type: "button" }, `Show all ${number(names.length)}`);
    all.addEventListener("click", () => {
      all.parentElement.remove();
      add(names.slice(most));
      list.focus();
    });
    list.append(make("li", {}, all));
  }
  return list;
}
