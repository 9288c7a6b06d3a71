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

let shown = document.querySelector("main").innerHTML;
let reading = false;
async function refresh() {
  if (reading || document.hidden) return;
  reading = true;
  try {
    const answer = await fetch(location.href);
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
    const main = document.querySelector("main");
    if (fresh && fresh.innerHTML !== shown) {
      shown = fresh.innerHTML;
      main.replaceWith(fresh);
      times();
    }
  } catch {
    // The next event tries again.
  } finally {
    reading = false;
  }
}

times();
setInterval(times, 60000);
if (document.body.dataset.live) {
  const events = new EventSource("/-/live");
  events.onmessage = refresh;
  document.addEventListener("visibilitychange", refresh);
}
