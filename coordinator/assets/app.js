// Keeps a page up to date without loading it anew. Pages are complete without this.
"use strict";

(() => {
  const fragment = document.getElementById("fragment");
  const frame = document.title.slice(document.title.lastIndexOf(" · "));
  const wire = document.getElementById("wire");
  // The server's clock counts; the browser's may be wrong.
  const skew = Date.now() - Date.parse(document.body.dataset.now);
  const now = () => Date.now() - skew;

  // Times, in the words of src/web/words.rs.

  const pair = (big, unit, small, small_unit) => (small === 0 ? `${big}${unit}` : `${big}${unit} ${small}${small_unit}`);

  function brief(millis) {
    const secs = Math.max(0, Math.floor(millis / 1000));
    if (secs < 60) return `${secs}s`;
    if (secs < 3600) return pair(Math.floor(secs / 60), "m", secs % 60, "s");
    if (secs < 86400) return pair(Math.floor(secs / 3600), "h", Math.floor(secs / 60) % 60, "m");
    return pair(Math.floor(secs / 86400), "d", Math.floor(secs / 3600) % 24, "h");
  }

  function age(millis) {
    const secs = Math.floor(millis / 1000);
    const count = (size, one, many = one) => {
      const n = Math.floor(secs / size);
      return `${n}\u00a0${n === 1 ? one : many} ago`;
    };
    if (secs < 10) return "just now";
    if (secs < 60) return count(1, "s");
    if (secs < 3600) return count(60, "min");
    if (secs < 86400) return count(3600, "h");
    if (secs < 1209600) return count(86400, "day", "days");
    if (secs < 5184000) return count(604800, "week", "weeks");
    if (secs < 63072000) return count(2592000, "month", "months");
    return count(31536000, "year", "years");
  }

  function say(node, text) {
    if (node.textContent !== text) node.textContent = text;
  }

  function tick() {
    for (const node of document.querySelectorAll("[data-since]")) say(node, brief(now() - Date.parse(node.dataset.since)));
    for (const node of document.querySelectorAll("time[datetime]")) say(node, age(now() - Date.parse(node.dateTime)));
  }

  // Bringing the page to what the server shows, touching only what differs: focus, scroll and selection stay.

  function morph(old, fresh) {
    if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || (old.id || "") !== (fresh.id || "")) {
      old.replaceWith(fresh);
      return;
    }
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.data !== fresh.data) old.data = fresh.data;
      return;
    }
    for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && name !== "data-fresh") old.removeAttribute(name);
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) === value) continue;
      if (name === "class" && old.classList.contains("c")) flash(old);
      old.setAttribute(name, value);
    }
    children(old, [...fresh.childNodes]);
  }

  function children(parent, fresh) {
    const named = new Map([...parent.children].filter((node) => node.id).map((node) => [node.id, node]));
    const wanted = new Set(fresh.map((node) => node.id).filter(Boolean));
    let at = parent.firstChild;
    for (const node of fresh) {
      const same = node.id ? named.get(node.id) : undefined;
      if (same) {
        if (same === at) at = at.nextSibling;
        else parent.insertBefore(same, at);
        morph(same, node);
        continue;
      }
      while (at && at.id && !wanted.has(at.id)) {
        const gone = at;
        at = at.nextSibling;
        gone.remove();
      }
      if (node.id || !at || at.id) {
        parent.insertBefore(node, at);
      } else {
        const old = at;
        at = at.nextSibling;
        morph(old, node);
      }
    }
    while (at) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
  }

  function flash(node) {
    node.setAttribute("data-fresh", "");
    setTimeout(() => node.removeAttribute("data-fresh"), 1500);
  }

  let busy = false;
  let again = false;
  let timer = 0;

  async function refresh() {
    if (!fragment) return;
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    try {
      const url = new URL(location.href);
      url.hash = "";
      url.searchParams.set("fragment", "1");
      const answer = await fetch(url, { cache: "no-store" });
      if (answer.ok) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        children(fragment, [...fresh.body.childNodes]);
        tick();
        health();
        document.dispatchEvent(new Event("farm:refreshed"));
      }
    } catch {
      // The server is away; the event stream comes back when it does, and asks again.
    } finally {
      setTimeout(() => {
        busy = false;
        if (again) {
          again = false;
          refresh();
        }
      }, 700);
    }
  }

  function soon() {
    clearTimeout(timer);
    timer = setTimeout(refresh, 120);
  }

  function health() {
    const icon = document.getElementById("icon");
    const state = document.querySelector("[data-health]")?.dataset.health;
    if (icon && state && icon.dataset[state] && icon.getAttribute("href") !== icon.dataset[state]) icon.href = icon.dataset[state];
    const title = document.getElementById("head")?.dataset.title;
    if (title) document.title = title + frame;
  }

  function toast(text) {
    const note = document.createElement("p");
    note.textContent = text;
    document.getElementById("say").append(note);
    setTimeout(() => note.remove(), 12000);
  }

  // Events are hints to look; what is shown always comes from the server.

  function listen() {
    const wants = new Set((fragment.dataset.wants || "").split(" "));
    const build = document.getElementById("head")?.dataset.id;
    const source = new EventSource("/api/v1/events");
    let opened = false;
    source.onopen = () => {
      wire.hidden = false;
      wire.classList.remove("lost");
      say(wire.querySelector(".said"), "live");
      // Whatever happened since the page was made was not heard.
      soon();
      if (opened) document.dispatchEvent(new Event("farm:back"));
      opened = true;
    };
    source.onerror = () => {
      wire.hidden = false;
      wire.classList.add("lost");
      say(wire.querySelector(".said"), "reconnecting");
    };
    for (const kind of ["build", "step", "worker"]) {
      if (!wants.has(kind)) continue;
      source.addEventListener(kind, (event) => {
        if (!build) return soon();
        const record = JSON.parse(event.data);
        if (String(kind === "step" ? record.build : record.id) === build) soon();
      });
    }
    source.addEventListener("resync", soon);
    source.addEventListener("notice", (event) => toast(JSON.parse(event.data).text));
    addEventListener("pagehide", () => source.close());
    addEventListener("pageshow", (event) => event.persisted && location.reload());
  }

  // Keys: h j k l or arrows between cells, n and p to the next and previous failure or build, ? for help.

  const BAD = ".failed, .timedout, .infra";

  function move(dx, dy) {
    const rows = [...document.querySelectorAll("table.grid tbody tr")];
    const cell = document.activeElement?.closest?.("table.grid td");
    if (!cell) {
      const first = document.querySelector("table.grid td a.c");
      if (first) focus(first);
      return;
    }
    let x = cell.cellIndex + dx;
    let y = rows.indexOf(cell.parentElement) + dy;
    for (; rows[y]?.cells[x]; x += dx, y += dy) {
      const link = rows[y].cells[x].querySelector("a.c");
      if (link) return focus(link);
    }
  }

  function focus(link) {
    link.focus();
    link.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  function failure(step) {
    const cells = [...document.querySelectorAll("table.grid td a.c")];
    const at = cells.indexOf(document.activeElement);
    let next = at < 0 ? (step > 0 ? 0 : cells.length - 1) : at + step;
    while (cells[next] && !cells[next].matches(BAD)) next += step;
    if (cells[next]) focus(cells[next]);
  }

  const KEYS = [
    ["j k h l", "move over the grid"],
    ["n p", "next and previous failure; on a build, next and previous build of its builder"],
    ["f", "follow the log"],
    ["w", "wrap long lines"],
    ["g", "to the grid"],
    ["?", "this help"],
  ];

  function help() {
    let box = document.getElementById("help");
    if (!box) {
      box = document.createElement("dialog");
      box.id = "help";
      const title = document.createElement("h2");
      title.textContent = "Keys";
      const list = document.createElement("dl");
      for (const [keys, what] of KEYS) {
        const dt = document.createElement("dt");
        for (const key of keys.split(" ")) {
          const kbd = document.createElement("kbd");
          kbd.textContent = key;
          dt.append(kbd, " ");
        }
        const dd = document.createElement("dd");
        dd.textContent = what;
        list.append(dt, dd);
      }
      box.append(title, list);
      box.addEventListener("click", () => box.close());
      document.body.append(box);
    }
    if (!box.open) box.showModal();
  }

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
    const grid = document.querySelector("table.grid");
    const inside = document.activeElement?.closest?.("table.grid td");
    const go = (rel) => document.querySelector(`a[rel=${rel}]`)?.click();
    const moves = { j: [0, 1], k: [0, -1], h: [-1, 0], l: [1, 0] };
    const arrows = { ArrowDown: "j", ArrowUp: "k", ArrowLeft: "h", ArrowRight: "l" };
    const key = inside && arrows[event.key] ? arrows[event.key] : event.key;
    if (grid && moves[key]) move(...moves[key]);
    else if (key === "n") grid ? failure(1) : go("next");
    else if (key === "p") grid ? failure(-1) : go("prev");
    else if (key === "g") location.assign("/");
    else if (key === "?") help();
    else if (key === "f") document.getElementById("follow")?.click();
    else if (key === "w") document.getElementById("wrap")?.click();
    else return;
    event.preventDefault();
  });

  for (const button of document.querySelectorAll("[data-copy]")) {
    if (!navigator.clipboard) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      say(button, "Copied");
      setTimeout(() => say(button, "Copy"), 2000);
    });
  }

  tick();
  setInterval(tick, 1000);
  if (fragment) {
    listen();
    // While a build runs its bars grow.
    setInterval(() => document.getElementById("head") && !document.querySelector("[data-over]") && !document.hidden && soon(), 5000);
  }
})();
