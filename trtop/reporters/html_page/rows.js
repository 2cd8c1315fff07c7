"use strict";
// The table of destinations: sorted by its headings, filtered, counted anew for a part of the time.

class Rows {
  constructor(data, onOpen) {
    this.data = data;
    this.onOpen = onOpen;
    this.table = document.getElementById("rows");
    this.tbody = this.table.tBodies[0];
    this.rows = Array.from(this.tbody.rows);
    this.texts = this.rows.map((row) => Array.from(row.cells, (cell) => cell.textContent));
    this.classes = this.rows.map((row) => Array.from(row.cells, (cell) => cell.className));
    this.total = Array.from(this.table.tFoot.rows[0].cells);
    this.totalTexts = this.total.map((cell) => cell.textContent);
    this.values = data.values;
    this.sorted = { column: -1, down: true };
    this.status = document.getElementById("status");
    this.addSorting();
    this.addControls();
    this.rows.forEach((row, i) => this.addRow(row, i));
    this.filter();
  }

  addSorting() {
    Array.from(this.table.tHead.rows[0].cells).forEach((cell, column) => {
      const button = element("button", { type: "button" }, cell.textContent);
      if (cell.title) button.title = cell.title;
      cell.removeAttribute("title");
      cell.replaceChildren(button);
      button.addEventListener("click", () => this.sort(column));
    });
  }

  addControls() {
    const host = document.getElementById("controls");
    this.input = element("input", { type: "search", id: "filter", spellcheck: "false",
      autocomplete: "off", placeholder: "10.1.  reset  rst>0  rtt>100ms",
      "aria-describedby": "status" });
    this.verdict = element("select", { id: "verdict" }, element("option", { value: "" }, "all"));
    for (const word of new Set(this.data.verdicts.map((pair) => pair[1]))) {
      this.verdict.append(element("option", { value: word }, word));
    }
    host.append(
      element("label", { for: "filter" }, "Filter"), this.input,
      element("label", { for: "verdict" }, "Verdict"), this.verdict,
    );
    host.hidden = false;
    this.input.addEventListener("input", () => this.filter());
    this.verdict.addEventListener("change", () => this.filter());
  }

  addRow(row, i) {
    row.tabIndex = -1;
    row.addEventListener("click", () => this.onOpen(i));
    row.addEventListener("focus", () => this.mark(row));
    row.addEventListener("keydown", (event) => this.key(event, row, i));
  }

  /** The row that the tab key comes to. */
  mark(row) {
    if (this.current) this.current.tabIndex = -1;
    this.current = row;
    row.tabIndex = 0;
  }

  key(event, row, i) {
    const shown = Array.from(this.tbody.rows).filter((one) => !one.hidden);
    const at = shown.indexOf(row);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: shown.length - 1,
      PageDown: Math.min(at + 10, shown.length - 1), PageUp: Math.max(at - 10, 0) }[event.key];
    if (event.key === "Enter" || event.key === " ") this.onOpen(i);
    else if (to === undefined) return;
    else if (shown[to]) shown[to].focus();
    event.preventDefault();
  }

  /** By a heading; the same one again turns the order round, and the third time it is as before. */
  sort(column) {
    const first = column >= 2;
    if (this.sorted.column !== column) this.sorted = { column, down: first };
    else if (this.sorted.down === first) this.sorted.down = !first;
    else this.sorted = { column: -1, down: true };
    this.arrange();
  }

  arrange() {
    const { column, down } = this.sorted;
    const order = this.rows.map((_, i) => i);
    if (column >= 0) {
      const keys = order.map((i) => this.sortKey(i, column));
      const compare = (a, b) => {
        if (keys[a] === keys[b]) return a - b;
        if (keys[a] === null) return 1;
        if (keys[b] === null) return -1;
        const less = column === 0 ? collator.compare(keys[a], keys[b]) : keys[a] - keys[b];
        return (down ? -less : less) || a - b;
      };
      order.sort(compare);
    }
    this.tbody.append(...order.map((i) => this.rows[i]));
    Array.from(this.table.tHead.rows[0].cells).forEach((cell, i) => {
      if (i === column) cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    });
  }

  sortKey(i, column) {
    if (column === 0) return this.data.names[i];
    return column === 1 ? this.data.verdicts[i][0] : this.values[i][column - 2];
  }

  filter() {
    const terms = this.input.value.trim().split(/\s+/).filter(Boolean);
    const tests = terms.map((term) => this.test(term));
    const wrong = terms.filter((_, i) => tests[i] === null);
    const right = tests.filter(Boolean);
    let n = 0;
    this.rows.forEach((row, i) => {
      const isOfVerdict = !this.verdict.value || this.data.verdicts[i][1] === this.verdict.value;
      row.hidden = !(isOfVerdict && right.every((test) => test(i)));
      n += !row.hidden;
    });
    const all = `${count(n)} of ${count(this.rows.length)} destinations`;
    this.status.textContent = wrong.length ? `${all}. Not understood: ${wrong.join(" ")}` : all;
    if (!this.current || this.current.hidden) {
      const first = Array.from(this.tbody.rows).find((row) => !row.hidden);
      if (first) this.mark(first);
    }
  }

  /** What a word of the filter asks of a row: a part of its text, or a comparison. */
  test(term) {
    const match = /^([a-z_0-9()./%]+?)(<=|>=|<|>|=)(.+)$/i.exec(term);
    if (!match) {
      const part = term.toLowerCase();
      return (i) => `${this.texts[i][0]} ${this.texts[i][1]}`.toLowerCase().includes(part);
    }
    const column = this.data.columns.findIndex((one) => one.names.includes(match[1].toLowerCase()));
    if (column < 0) return null;
    const limit = parsed(match[3], this.data.columns[column].unit);
    if (Number.isNaN(limit)) return null;
    const compare = { "<": (a) => a < limit, ">": (a) => a > limit, "<=": (a) => a <= limit,
      ">=": (a) => a >= limit, "=": (a) => a === limit }[match[2]];
    return (i) => this.values[i][column] !== null && compare(this.values[i][column]);
  }

  /** Count a part of the time, in slots, or all of it (null). */
  choose(choice) {
    this.values = choice ? this.data.details.map((detail) => this.inPart(detail.series, choice))
      : this.data.values;
    const none = this.data.columns.map(() => null);
    while (this.values.length < this.rows.length) this.values.push(none);
    this.rows.forEach((row, i) => this.show(row.cells, i, choice));
    const all = choice && this.inPart(this.data.timeline.all, choice, 1);
    this.total.forEach((cell, column) => {
      cell.textContent = !choice || column < 2 ? this.totalTexts[column]
        : this.text(all[column - 2], column - 2);
    });
    this.table.classList.toggle("part", choice !== null);
    this.arrange();
    this.filter();
  }

  show(cells, i, choice) {
    for (let column = 2; column < cells.length; column++) {
      const isWhole = !choice;
      cells[column].className = isWhole ? this.classes[i][column] : "";
      const value = this.values[i][column - 2];
      const least = value !== null && this.data.details[i]?.partial ? "\u2265" : "";
      cells[column].textContent = isWhole ? this.texts[i][column]
        : least + this.text(value, column - 2);
    }
  }

  text(value, column) {
    if (value === null) return "\u2013";
    return this.data.columns[column].unit === "ns" ? duration(value) : count(value);
  }

  /** A row's numbers in a part of the time: counts, and the worst slot's p95; else null. */
  inPart(pairs, [first, end], factor = this.data.timeline.factor) {
    const from = Math.floor(first / factor), to = Math.ceil(end / factor);
    const length = Math.ceil(this.data.timeline.slots / factor);
    const names = this.data.series;
    return this.data.columns.map(({ series }) => {
      if (series < 0) return null;
      const found = pairs.find((pair) => pair[0] === series);
      const values = found ? unpacked(found[1], length).slice(from, to) : [];
      if (series === names.length) return values.some((us) => us) ? Math.max(...values) * 1e3 : null;
      return values.reduce((sum, n) => sum + n, 0);
    });
  }
}

const collator = new Intl.Collator("en", { numeric: true });
