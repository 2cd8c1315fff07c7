"use strict";
// Numbers as a person reads them, and as they are packed in the page.

/** A duration with three significant digits, as trtop writes it: 35us, 1.24ms, 5m30s. */
function duration(ns) {
  if (ns < 0) return "-" + duration(-ns);
  if (ns < 1e3) return ns ? `${Math.round(ns)}ns` : "0";
  for (const [unit, name] of [[1e3, "\u00b5s"], [1e6, "ms"], [1e9, "s"]]) {
    const text = threeDigits(ns / unit);
    if (Number(text) < (unit === 1e9 ? 60 : 1000)) return text + name;
  }
  const s = Math.round(ns / 1e9);
  const two = (n) => String(n).padStart(2, "0");
  if (s < 3600) return `${Math.floor(s / 60)}m${two(s % 60)}s`;
  if (s < 86400) return `${Math.floor(s / 3600)}h${two(Math.floor(s % 3600 / 60))}m`;
  return `${Math.floor(s / 86400)}d${two(Math.floor(s % 86400 / 3600))}h`;
}

function threeDigits(value) {
  const digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  const text = value.toFixed(digits);
  return digits ? text.replace(/0+$/, "").replace(/\.$/, "") : text;
}

function count(n) {
  return Math.round(n).toLocaleString("en-US");
}

/** A number short enough for an axis: 950, 1.5k, 20M. */
function short(n) {
  for (const [size, name] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (n >= size) return Number((n / size).toPrecision(3)) + name;
  }
  return String(Number(n.toPrecision(3)));
}

/** Numbers whose runs of zeros are packed, in full length. */
function unpacked(numbers, length) {
  const values = new Array(length).fill(0);
  let at = 0;
  for (const number of numbers) {
    if (number < 0) at -= number;
    else values[at++] = number;
  }
  return values;
}

/** 150ms, 2s, 5 -> a number in ns, or as it is; NaN for anything else. */
function parsed(text, unit) {
  const match = /^([0-9]*\.?[0-9]+)(ns|us|\u00b5s|ms|s|m|%|k|M|G)?$/.exec(text);
  if (!match) return NaN;
  const times = { ns: 1, us: 1e3, "\u00b5s": 1e3, ms: 1e6, s: 1e9, m: 6e10 };
  const sizes = { k: 1e3, M: 1e6, G: 1e9 };
  const value = Number(match[1]);
  if (!match[2]) return unit === "ns" && value ? NaN : value;
  if (match[2] === "%") return unit === "share" ? value / 100 : NaN;
  if (match[2] in times) return unit === "ns" ? value * times[match[2]] : NaN;
  return unit === "ns" ? NaN : value * sizes[match[2]];
}

function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}
