"use strict";
// What the page is made of once its script runs, and the keys that work everywhere.

const KEYS = "/ filter \u00b7 t timeline (arrows move, Shift widens, Esc all) \u00b7 \u2191 \u2193 rows \u00b7 " +
  "Enter look into a row \u00b7 Esc back \u00b7 ? these keys";

(function start() {
  const data = JSON.parse(document.getElementById("data").textContent);
  const keys = document.getElementById("keys"), keyList = document.getElementById("key-list");
  let detail = null;
  const rows = new Rows(data, (i) => detail.open(i));
  detail = new Detail(data, rows.rows);
  const host = document.getElementById("timeline");
  const timeline = host && data.timeline
    ? new Timeline(host, data, (choice) => rows.choose(choice)) : null;
  addTheme(document.getElementById("theme"));

  keyList.textContent = KEYS;
  keys.hidden = false;
  const tellKeys = () => {
    keyList.hidden = !keyList.hidden;
    keys.setAttribute("aria-expanded", String(!keyList.hidden));
  };
  keys.addEventListener("click", tellKeys);

  document.querySelectorAll(".verdicts a").forEach((link) => {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      detail.open(Number(link.getAttribute("href").slice(2)));
      detail.opener = link;
    });
  });

  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.matches("input, select, textarea");
    if (event.key === "Escape" && event.target === rows.input) {
      rows.input.value = "";
      rows.filter();
      rows.current?.focus();
      return;
    }
    if (isTyping || event.ctrlKey || event.altKey || event.metaKey || detail.dialog.open) return;
    if (event.key === "/") rows.input.focus();
    else if (event.key === "t" && timeline) timeline.lanes.focus();
    else if (event.key === "?") tellKeys();
    else return;
    event.preventDefault();
  });
})();

/** A button between the dark and the light look; without it the system's holds. */
function addTheme(button) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light"))
    === "dark";
  const name = () => { button.textContent = isDark() ? "Light" : "Dark"; };
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    name();
  });
  system.addEventListener("change", name);
  button.hidden = false;
  name();
}
