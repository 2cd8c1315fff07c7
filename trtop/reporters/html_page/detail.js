"use strict";
// All that the page knows of one destination, in a dialog.

class Detail {
  constructor(data, rows) {
    this.data = data;
    this.rows = rows;
    this.dialog = document.getElementById("detail");
    this.body = document.getElementById("detail-body");
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close();
    });
    this.dialog.addEventListener("close", () => this.opener?.focus());
  }

  open(i) {
    const detail = this.data.details[i];
    const word = this.data.verdicts[i][1];
    const close = element("button", { type: "button", class: "close" }, "Close");
    close.addEventListener("click", () => this.dialog.close());
    const title = element("h2", { id: "detail-title" }, this.data.names[i]);
    this.opener = this.rows[i];
    this.body.replaceChildren(element("div", { class: "row" }, title, close));
    if (!detail) {
      const more = `Only the first ${count(this.data.details.length)} destinations have more.`;
      this.body.append(element("p", {}, `${word}. ${more}`));
      this.dialog.showModal();
      return;
    }
    const verdict = element("span", { class: detail.why ? "verdict" : "" }, word);
    this.body.append(element("p", { class: "why" }, verdict, " ", detail.why));
    this.dialog.showModal();
    this.width = Math.max(260, this.body.clientWidth);
    this.explain(detail, detail.next || this.data.next[this.data.verdicts[i][0]]);
    this.timeline(detail);
    this.distributions(detail);
    this.connections(detail);
    this.fields(detail);
    this.dialog.scrollTop = 0;
    close.focus();
  }

  heading(text) {
    this.body.append(element("h3", {}, text));
  }

  explain(detail, next) {
    if (detail.facts) {
      this.heading("What it rests on");
      this.body.append(grid([], detail.facts.map(([name, value, limit]) =>
        [name, value, limit ? `counts ${limit}` : ""])));
    }
    if (detail.sure) this.body.append(element("p", { class: "muted" }, `How sure: ${detail.sure}`));
    if (next) {
      this.heading("What to look at next");
      this.body.append(list(next));
    }
    if (detail.also) {
      this.heading("What else holds");
      this.body.append(list(detail.also.map(([word, why]) => `${word}: ${why}`)));
    }
  }

  timeline(detail) {
    const timeline = this.data.timeline;
    if (!timeline || !detail.series.length) return;
    const part = detail.partial ? " (a part: it was not always among the busiest)" : "";
    const length = Math.ceil(timeline.slots / timeline.factor);
    this.heading(`Timeline, slots of ${duration(timeline.slot_s * timeline.factor * 1e9)}${part}`);
    this.body.append(...lanesOf(detail.series, this.data.series, length, this.width));
  }

  distributions(detail) {
    const isWide = this.width >= 640;
    const size = { width: isWide ? Math.floor((this.width - 12) / 2) : this.width, height: 130 };
    for (const [i, numbers, first, packedCounts] of detail.distributions) {
      const [name, help, isTime] = this.data.distributions[i];
      const counts = unpacked(packedCounts, lengthOf(packedCounts));
      const format = isTime ? duration : short;
      // What comes at the end more than once is there once.
      const shown = Array.from({ length: 7 }, (_, at) => numbers[at + 1] ?? numbers.at(-1));
      this.heading(`${name}: ${help}`);
      this.body.append(grid(
        ["samples", "min", "p50", "p90", "p95", "p99", "p99.9", "max"],
        [[count(numbers[0]), ...shown.map((value) => format(isTime ? value * 1e3 : value))]],
      ));
      if (counts.length) {
        const end = (bar) => 2 ** ((first + bar) / this.data.bars_per_octave);
        const ends = Array.from({ length: counts.length + 1 }, (_, bar) => end(bar));
        this.body.append(element("div", { class: "pair" },
          histogram(size, name, ends, counts, format),
          cumulative(size, name, ends, counts, format)));
      }
    }
  }

  connections(detail) {
    if (!detail.slow.length) return;
    this.heading("Slowest connections");
    this.body.append(grid(this.data.connections, detail.slow));
  }

  fields(detail) {
    this.heading("All fields that are not 0");
    const all = element("dl", { class: "fields" });
    for (const [i, text] of detail.fields) {
      const [name, help] = this.data.fields[i];
      all.append(element("div", {}, element("dt", {}, element("code", {}, name)),
        element("dd", {}, element("b", {}, text), ` ${help}`)));
    }
    this.body.append(all);
  }
}

/** Numbers that a packed list stands for. */
function lengthOf(packedNumbers) {
  return packedNumbers.reduce((sum, n) => sum + (n < 0 ? -n : 1), 0);
}

function list(texts) {
  return element("ul", {}, ...texts.map((text) => element("li", {}, text)));
}

function grid(headings, rows) {
  const head = element("tr", {}, ...headings.map((text) => element("th", { scope: "col" }, text)));
  const body = rows.map((cells) => element("tr", {}, ...cells.map((text) => element("td", {}, text))));
  const parts = headings.length ? [element("thead", {}, head)] : [];
  const table = element("table", headings.length ? {} : { class: "facts-table" }, ...parts, element("tbody", {}, ...body));
  return element("div", { class: "wide", tabindex: "0", role: "group", "aria-label": "table" }, table);
}
