// Times in the reader's own words, and pages that follow what happens. Everything works without.
"use strict";

const units = [["year", 31556952], ["month", 2629746], ["day", 86400], ["hour", 3600], ["minute", 60]];
const ago = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });

function times() {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const then = new Date(time.dateTime);
    const seconds = (then - Date.now()) / 1000;
    const [unit, size] = units.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
    time.title = then.toLocaleString();
    time.textContent = ago.format(Math.round(seconds / size), unit);
  }
}

// What the page shows: as the server wrote it, and of which generation.
let shown = document.querySelector("main").innerHTML;
let seen = document.body.dataset.live;
let events;
let reading = false;
let late = false;

function rows(main) {
  return [...main.querySelectorAll("tr, article")];
}

function name(row) {
  return row.id || row.querySelector("a")?.getAttribute("href");
}

function show(fresh) {
  const main = document.querySelector("main");
  const focus = main.contains(document.activeElement) && document.activeElement.getAttribute("href");
  const known = new Set(rows(main).map(name));
  for (const row of rows(fresh)) row.classList.toggle("fresh", !known.has(name(row)));
  main.replaceWith(fresh);
  times();
  if (focus) [...fresh.querySelectorAll("a")].find((a) => a.getAttribute("href") === focus)?.focus({ preventScroll: true });
}

async function refresh() {
  // Not under the eyes of somebody who is selecting something.
  late = reading || !getSelection().isCollapsed;
  if (late) return;
  reading = true;
  try {
    const answer = await fetch(location.href);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector("main");
    if (!answer.ok || !fresh) return;
    seen = page.body.dataset.live;
    document.title = page.title;
    if (fresh.innerHTML === shown) return;
    shown = fresh.innerHTML;
    show(fresh);
  } catch {
    // The next event tries again.
  } finally {
    reading = false;
    if (late) refresh();
  }
}

// Only pages that somebody sees listen: browsers allow few connections to a server.
function listen() {
  if (events || document.hidden) return;
  const note = document.getElementById("note");
  events = new EventSource(`/-/live?since=${seen}`);
  events.onmessage = refresh;
  events.onopen = () => { note.textContent = ""; };
  events.onerror = () => {
    note.textContent = "The server does not answer. This page goes on when it does.";
    // A browser gives up on some answers, such as those of a proxy whose server is away.
    if (events?.readyState === EventSource.CLOSED) {
      rest();
      setTimeout(listen, 5000);
    }
  };
}

function rest() {
  events?.close();
  events = undefined;
}

times();
setInterval(times, 60000);
listen();
document.addEventListener("visibilitychange", () => (document.hidden ? rest() : listen()));
document.addEventListener("selectionchange", () => { if (late && getSelection().isCollapsed) refresh(); });
addEventListener("pagehide", rest);
addEventListener("pageshow", listen);
addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea")) return;
  event.preventDefault();
  document.querySelector("input[name=q]").select();
});
