"use strict";
// Plots as SVG, whose colours are the style's, so that they follow its theme and print.

const SVG = "http://www.w3.org/2000/svg";
const LEFT = 52, RIGHT = 8, TOP = 6;

function shape(name, attributes, text) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

function canvas(width, height, label) {
  const attributes = { width, height, viewBox: `0 0 ${width} ${height}`, role: "img" };
  return shape("svg", { ...attributes, "aria-label": label });
}

/** The next number of 1, 2, 5, 10 ... from a value on, so that an axis ends at a round one. */
function roundUp(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].find((step) => step * power >= value * (1 - 1e-9)) * power;
}

function bars(values, x, y, base) {
  let path = "";
  for (let i = 0; i < values.length; i++) {
    if (values[i] <= 0) continue;
    const top = Math.min(y(values[i]), base - 1);
    const left = x(i), right = Math.max(x(i + 1) - (x(1) - x(0) > 4 ? 1 : 0), left + 0.8);
    path += `M${left.toFixed(1)} ${base}V${top.toFixed(1)}H${right.toFixed(1)}V${base}Z`;
  }
  return path;
}

/** One lane of a timeline: several series of bars from the bottom, on one axis. */
function lane(size, title, series, format) {
  const { width, height } = size;
  const base = height - 4;
  const most = Math.max(0, ...series.flatMap((one) => one.values));
  const top = roundUp(most);
  const n = series[0].values.length;
  const x = (i) => LEFT + i / n * (width - LEFT - RIGHT);
  const y = (value) => base - value / top * (base - TOP - 12);
  const told = series.map((one) => `${one.name} at most ${format(Math.max(0, ...one.values))}`);
  const svg = canvas(width, height, `${title}, per slot: ${told.join(", ")}`);
  svg.append(
    shape("line", { x1: LEFT, x2: width - RIGHT, y1: y(top), y2: y(top), class: "grid" }),
    shape("line", { x1: LEFT, x2: width - RIGHT, y1: base, y2: base, class: "axis" }),
    shape("text", { x: LEFT - 6, y: y(top) + 4, class: "tick end" }, most ? format(top) : "0"),
  );
  let at = LEFT;
  for (const one of series) {
    svg.append(shape("path", { d: bars(one.values, x, y, base), class: `bar ${one.color}` }));
    svg.append(shape("rect", { x: at, y: 1, width: 9, height: 9, class: `bar ${one.color}` }));
    svg.append(shape("text", { x: at + 13, y: 10, class: "tick" }, one.name));
    at += 28 + one.name.length * 6.6;
  }
  return svg;
}

/** A histogram; its bars are above ends[i] and up to ends[i + 1]. */
function histogram(size, name, ends, counts, format) {
  const { width, height } = size;
  const base = height - 20;
  const most = Math.max(...counts);
  const x = (i) => LEFT + i / counts.length * (width - LEFT - RIGHT);
  const y = (value) => base - value / most * (base - TOP);
  const svg = canvas(width, height, `Histogram of ${name}: at most ${count(most)} in a bar`);
  svg.append(
    shape("text", { x: LEFT - 6, y: TOP + 8, class: "tick end" }, short(most)),
    shape("text", { x: LEFT - 6, y: base, class: "tick end" }, "0"),
    shape("path", { d: bars(counts, x, y, base), class: "bar c1" }),
  );
  axis(svg, size, ends, format);
  return svg;
}

function cumulative(size, name, ends, counts, format) {
  const { width, height } = size;
  const base = height - 20;
  const total = counts.reduce((sum, n) => sum + n, 0);
  const x = (i) => LEFT + i / counts.length * (width - LEFT - RIGHT);
  const y = (share) => base - share * (base - TOP);
  const svg = canvas(width, height, `Cumulative distribution of ${name}`);
  let sum = 0, path = `M${x(0)} ${base}`;
  counts.forEach((n, i) => {
    sum += n;
    path += `L${x(i + 1).toFixed(1)} ${y(sum / total).toFixed(1)}`;
  });
  for (const share of [0.5, 0.95, 1]) {
    const at = { x1: LEFT, x2: width - RIGHT, y1: y(share), y2: y(share), class: "grid" };
    svg.append(shape("line", at));
    const text = { x: LEFT - 6, y: y(share) + (share === 1 ? 9 : 4), class: "tick end" };
    if (share !== 1) svg.append(shape("text", text, `${100 * share}%`));
  }
  svg.append(shape("path", { d: path, class: "line c1" }));
  axis(svg, size, ends, format);
  return svg;
}

/** Ticks of a logarithmic axis at ends of bars, as many as there is room for. */
function axis(svg, size, ends, format) {
  const { width, height } = size;
  const n = ends.length - 1;
  const room = width - LEFT - RIGHT;
  const x = (i) => LEFT + i / n * room;
  const line = { x1: LEFT, x2: width - RIGHT, y1: height - 20, y2: height - 20, class: "axis" };
  svg.append(shape("line", line));
  const nTicks = Math.max(2, Math.floor(room / 80));
  const step = Math.max(1, Math.ceil(n / nTicks));
  for (let i = 0; i <= n; i += step) {
    const place = i === 0 ? "tick" : i + step > n && x(i) > width - 40 ? "tick end" : "tick middle";
    svg.append(shape("text", { x: x(i), y: height - 6, class: place }, format(ends[i])));
  }
}
