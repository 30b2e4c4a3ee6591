// What the document says, put so that it can be shown. kip/core/status/page_document.py describes the document.

const SEVERITY = ["failed", "absent", "waiting", "pulling", "cached"];

export class Model {
  constructor(matrix) {
    this.matrix = matrix;
    this.states = matrix.states;
    this.images = matrix.images;
    this.rows = matrix.rows.map((row, number) => this.readRow(row, number));
    matrix.row.forEach((row, node) => this.rows[row].nodes.push(node));
    this.ranking = [...this.rows].sort((one, other) => one.rank - other.rank || other.nodes.length - one.nodes.length || other.missing - one.missing || one.nodes[0] - other.nodes[0]);
  }

  /** A row: cells of `{state, fault, message, digest}`, its worst state, and the nodes that have it. */
  readRow(row, number) {
    const cells = row.map((kind, image) => this.readKind(kind < 0 ? null : this.images[image].kinds[kind]));
    const faulty = cells.some((cell) => cell.fault >= 0);
    const worst = Math.min(...cells.map((cell) => SEVERITY.indexOf(cell.state)));
    return {
      number, cells, nodes: [], faulty,
      state: SEVERITY[worst] || "waiting",
      rank: worst + (faulty ? 0 : SEVERITY.length),
      missing: cells.filter((cell) => cell.state !== "cached").length,
    };
  }

  readKind(kind) {
    if (!kind) return { state: "absent", fault: -1, reason: "", message: "", digest: "" };
    const [state, fault, message, digest] = kind;
    const reason = fault < 0 ? "" : this.matrix.faults[fault].reason;
    return { state: this.states[state], fault, reason, message, digest };
  }

  /** How many nodes have a fault; of some only the number is known. */
  get troubled() {
    const unnamed = this.matrix.faults.filter((_, fault) => !this.nodesOf(fault).length);
    return this.rows.reduce((sum, row) => sum + (row.faulty ? row.nodes.length : 0), 0)
      + unnamed.reduce((sum, fault) => sum + fault.nodes, 0);
  }

  /** How many cells are in which state. */
  get totals() {
    return this.states.map((_, state) => this.images.reduce((sum, image) => sum + image.counts[state], 0));
  }

  name(node) {
    return this.matrix.nodes[node];
  }

  rowOf(node) {
    return this.rows[this.matrix.row[node]];
  }

  /** The nodes of a fault, by their places. */
  nodesOf(fault) {
    return this.rows.filter((row) => row.cells.some((cell) => cell.fault === fault)).flatMap((row) => row.nodes);
  }

  /** The digests of an image, with how many nodes have each. */
  digestsOf(image) {
    const found = new Map();
    for (const row of this.rows) {
      const { digest } = row.cells[image];
      if (digest) found.set(digest, (found.get(digest) || 0) + row.nodes.length);
    }
    return [...found].sort((one, other) => other[1] - one[1]);
  }

  /** All nodes, failing ones first. */
  get ranked() {
    return this.ranking.flatMap((row) => row.nodes);
  }
}
