"use strict";
// The timeline of all destinations, on which a part of the time is chosen: by pointer or by keys.

class Timeline {
  /**
   * @param host the element that it is drawn in.
   * @param data the page's; its timeline is there.
   * @param onChoice called with [first, end) in slots, or null for all.
   */
  constructor(host, data, onChoice) {
    this.host = host;
    this.data = data.timeline;
    this.series = data.series;
    this.isPartial = data.details.some((detail) => detail.partial);
    this.onChoice = onChoice;
    this.choice = null;
    this.cursor = 0;
    this.lanes = element("div", { class: "lanes", tabindex: "0", role: "group",
      "aria-label": "Timeline. Drag, or use the arrow keys, to choose a part of the time: " +
        "left and right move, with Shift they widen and narrow, Escape chooses all." });
    this.note = element("p", { class: "muted", role: "status" });
    this.clear = element("button", { type: "button", hidden: "" }, "All of the time");
    this.clear.addEventListener("click", () => this.choose(null));
    host.append(this.lanes, element("div", { class: "row" }, this.note, this.clear));
    this.lanes.addEventListener("pointerdown", (event) => this.drag(event));
    this.lanes.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(host);
    this.draw();
    this.tell();
  }

  draw() {
    const width = Math.max(260, this.host.clientWidth);
    if (width === this.width) return;
    this.width = width;
    this.lanes.replaceChildren(...lanesOf(this.data.all, this.series, this.data.slots, width),
      this.timeAxis());
    this.brush = element("div", { class: "brush", hidden: "" });
    this.lanes.append(this.brush);
    this.mark();
  }

  timeAxis() {
    const svg = canvas(this.width, 18, "Time");
    const n = Math.min(this.data.slots, Math.max(2, Math.floor((this.width - LEFT) / 130)));
    for (let i = 0; i <= n; i++) {
      const slot = Math.round(i / n * this.data.slots);
      const place = i === 0 ? "tick" : i === n ? "tick end" : "tick middle";
      svg.append(shape("text", { x: this.x(slot), y: 13, class: place }, this.time(slot)));
    }
    return svg;
  }

  x(slot) {
    return LEFT + slot / this.data.slots * (this.width - LEFT - RIGHT);
  }

  slotAt(event) {
    const x = event.clientX - this.lanes.getBoundingClientRect().left;
    const share = (x - LEFT) / (this.width - LEFT - RIGHT);
    return Math.min(this.data.slots, Math.max(0, share * this.data.slots));
  }

  /** When a slot begins: UTC, or since the beginning where that is no date. */
  time(slot) {
    const after_s = slot * this.data.slot_s;
    const date = new Date(this.data.first_ms + after_s * 1e3);
    if (Number.isNaN(date.getTime())) return "+" + duration(after_s * 1e9);
    const text = date.toISOString();
    const total_s = this.data.slots * this.data.slot_s;
    if (total_s > 2 * 86400) return text.slice(5, 16).replace("T", " ");
    return text.slice(11, 19);
  }

  drag(event) {
    if (event.button !== 0) return;
    const from = this.slotAt(event);
    const pointer = event.pointerId;
    this.lanes.setPointerCapture(pointer);
    const move = (moved) => {
      const to = this.slotAt(moved);
      const first = Math.floor(Math.min(from, to));
      const end = Math.max(first + 1, Math.ceil(Math.max(from, to)));
      this.choose([Math.min(first, this.data.slots - 1), Math.min(end, this.data.slots)]);
    };
    const up = (ended) => {
      if (Math.abs(ended.clientX - event.clientX) < 3) this.choose(null);
      this.lanes.removeEventListener("pointermove", move);
      this.lanes.removeEventListener("pointerup", up);
      this.lanes.removeEventListener("pointercancel", up);
    };
    this.lanes.addEventListener("pointermove", move);
    this.lanes.addEventListener("pointerup", up);
    this.lanes.addEventListener("pointercancel", up);
    this.lanes.focus({ preventScroll: true });
    event.preventDefault();
  }

  key(event) {
    const slots = this.data.slots;
    const step = Math.max(1, Math.round(slots / 60));
    const [first, end] = this.choice ?? [0, Math.max(1, Math.round(slots / 10))];
    const by = { ArrowLeft: -step, ArrowRight: step }[event.key];
    if (event.key === "Escape" && this.choice) this.choose(null);
    else if (event.key === "Home") this.choose([0, end - first]);
    else if (event.key === "End") this.choose([slots - (end - first), slots]);
    else if (by === undefined) return;
    else if (!this.choice) this.choose([first, end]);
    else if (event.shiftKey) {
      this.choose([first, Math.min(slots, Math.max(first + 1, end + by))]);
    } else {
      const moved = Math.min(slots - (end - first), Math.max(0, first + by));
      this.choose([moved, moved + end - first]);
    }
    event.preventDefault();
    event.stopPropagation();
  }

  choose(choice) {
    const same = JSON.stringify(choice) === JSON.stringify(this.choice);
    this.choice = choice;
    if (same) return;
    this.mark();
    this.tell();
    this.onChoice(choice);
  }

  mark() {
    this.brush.hidden = this.choice === null;
    this.clear.hidden = this.choice === null;
    if (!this.choice) return;
    this.brush.style.left = `${this.x(this.choice[0])}px`;
    this.brush.style.width = `${this.x(this.choice[1]) - this.x(this.choice[0])}px`;
  }

  tell() {
    const slot = duration(this.data.slot_s * 1e9);
    if (!this.choice) {
      this.note.textContent = `Slots of ${slot}. Drag to choose a part of the time: the table ` +
        "then counts that part.";
      return;
    }
    const [first, end] = this.choice;
    const span = duration((end - first) * this.data.slot_s * 1e9);
    this.note.textContent = `Chosen: ${this.time(first)} \u2013 ${this.time(end)} (${span}).` +
      (this.isPartial ? " \u2265: at least, as the history holds only a part of that row." : "");
  }
}

/** What the lanes of a timeline show, by names of series. */
const LANES = [
  ["Connecting", [["attempts", "syn", "c1"], ["resets", "rst", "c2"], ["timeouts", "timeouts", "c3"]]],
  ["Requests", [["requests", "requests", "c4"]]],
  ["Response time", [["response time, p95", "p95", "c5"]]],
  ["Retransmissions", [["retransmitted segments", "retrans", "c3"]]],
];

/** The values of all series of a packed timeline, by name. */
function seriesOf(pairs, names, length) {
  const found = { p95: new Array(length).fill(0) };
  for (const name of names) found[name] = new Array(length).fill(0);
  for (const [i, numbers] of pairs) found[names[i] ?? "p95"] = unpacked(numbers, length);
  found.retrans = found.retrans_out.map((n, i) => n + found.retrans_in[i]);
  return found;
}

/** The lanes of which something is known. */
function lanesOf(pairs, names, length, width) {
  const found = seriesOf(pairs, names, length);
  const drawn = [];
  for (const [title, parts] of LANES) {
    const series = parts.map(([name, key, color]) => ({ name, color, values: found[key] }));
    if (drawn.length && !series.some((one) => one.values.some((n) => n))) continue;
    const format = parts[0][1] === "p95" ? (us) => duration(us * 1e3) : short;
    drawn.push(lane({ width, height: 84 }, title, series, format));
  }
  return drawn;
}
