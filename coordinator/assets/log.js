// Goes on with a log where the server's page ends, byte for byte, for as long as it grows.
"use strict";

(() => {
  const log = document.getElementById("log");
  const rows = document.getElementById("rows");
  const follow = document.getElementById("follow");
  const MOST_ROWS = 20000;
  const BLOCK = 200;

  let attempt = Number(log.dataset.attempt);
  let offset = Number(log.dataset.offset);
  let line = log.dataset.line ? Number(log.dataset.line) : null;
  let headed = Number(log.dataset.headed);
  let abort = null;
  let reader = null;

  // Rows.

  let pending = document.createDocumentFragment();
  let waiting = 0;
  let count = rows.querySelectorAll(".l").length;
  let partial = [...rows.querySelectorAll(".l.p")];
  let middle = false;
  let unseen = 0;
  let frame = 0;

  function make(runs, number) {
    const row = document.createElement("div");
    row.className = "l";
    const text = document.createElement("span");
    text.className = "t";
    for (const [classes, part] of runs) {
      if (!classes) {
        text.append(part);
        continue;
      }
      const span = document.createElement("span");
      span.className = classes;
      span.textContent = part;
      text.append(span);
    }
    let gutter;
    if (number === null) {
      gutter = document.createElement("span");
    } else {
      gutter = document.createElement("a");
      gutter.href = `#L${number}`;
      gutter.tabIndex = -1;
      gutter.dataset.n = number;
      row.id = `L${number}`;
    }
    gutter.className = "n";
    row.append(gutter, text);
    return row;
  }

  let terminal = null;

  function restart(style) {
    terminal = new Terminal((runs, end) => {
      pending.append(make(runs, middle ? null : line));
      waiting += 1;
      middle = end === "full";
      if (end === "newline" && line !== null) line += 1;
      paint();
    }, style);
  }
  restart(log.dataset.style);

  function paint() {
    if (!frame) frame = requestAnimationFrame(draw);
    // Frames stop while the page is hidden; a log does not, and need not be kept twice.
    if (waiting > MOST_ROWS) {
      while (pending.childNodes.length > MOST_ROWS / 2) pending.firstChild.remove();
      waiting = pending.childNodes.length;
    }
  }

  function draw() {
    frame = 0;
    for (const row of partial) row.remove();
    partial = [];
    while (pending.firstChild) {
      const node = pending.firstChild;
      if (node.nodeName === "H3") {
        rows.append(node);
        continue;
      }
      let block = rows.lastElementChild;
      if (!block || block.className !== "k" || block.childElementCount >= BLOCK) {
        block = document.createElement("div");
        block.className = "k";
        rows.append(block);
      }
      block.append(node);
      count += 1;
      if (!following) unseen += 1;
    }
    waiting = 0;
    const runs = terminal.runs();
    if (runs.length > 0) {
      const row = make(runs, middle ? null : line);
      row.classList.add("p");
      partial = [row];
      const block = rows.lastElementChild;
      if (block?.className === "k") block.append(row);
      else {
        const fresh = document.createElement("div");
        fresh.className = "k";
        fresh.append(row);
        rows.append(fresh);
      }
    }
    trim();
    const size = document.getElementById("log-size");
    if (size) size.textContent = words(offset);
    const note = document.getElementById("note");
    if (note && count + partial.length > 0) note.remove();
    if (following) bottom();
    button();
  }

  // A page of a million rows helps nobody; what is left out is in the raw log.
  function trim() {
    while (count > MOST_ROWS && (following || count > 3 * MOST_ROWS)) {
      const first = rows.firstElementChild;
      if (!first || first === rows.lastElementChild) return;
      count -= first.className === "k" ? first.childElementCount : 0;
      first.remove();
      if (!document.getElementById("trimmed")) {
        const note = document.createElement("p");
        note.className = "more";
        note.id = "trimmed";
        const link = document.createElement("a");
        link.href = `/builds/${log.dataset.build}?attempt=${attempt}&from=0#log`;
        link.textContent = "Lines above are left out; see the beginning of the log";
        note.append(link);
        rows.before(note);
      }
    }
  }

  function words(bytes) {
    let unit = "B";
    let size = bytes;
    for (const larger of ["KiB", "MiB", "GiB"]) {
      if (size < 1024) break;
      size /= 1024;
      unit = larger;
    }
    return `${unit === "B" || size >= 100 ? Math.round(size) : size.toFixed(1)}\u00a0${unit}`;
  }

  // Headings of steps, from the table of steps above the log.

  function steps() {
    return [...document.querySelectorAll("tr[data-step]")].map((row) => ({
      index: Number(row.dataset.step),
      offset: row.dataset.offset === undefined ? null : Number(row.dataset.offset),
      row,
    }));
  }

  function fill(heading, { index, row }) {
    const part = (selector) => row.querySelector(selector)?.textContent ?? "";
    const kind = row.dataset.kind;
    const note = [kind === "running" ? "" : part(".time"), part(".status")].filter(Boolean).join(" · ");
    const glyph = document.createElement("span");
    glyph.className = "g";
    glyph.textContent = part(".g");
    const name = document.createElement("bdi");
    name.textContent = part(".name");
    const small = document.createElement("small");
    small.textContent = note;
    heading.className = `step ${kind}`;
    heading.id = `step-${index}`;
    heading.replaceChildren(glyph, name, small);
    return heading;
  }

  // Puts the headings that are due before the byte at `offset`, and says where the next one is.
  function due() {
    for (const step of steps()) {
      if (step.index < headed || step.offset === null) continue;
      if (step.offset > offset) return step.offset;
      const rest = terminal.flush();
      if (rest.length > 0) {
        pending.append(make(rest, middle ? null : line));
        middle = true;
      }
      pending.append(fill(document.createElement("h3"), step));
      headed = step.index + 1;
      paint();
    }
    return Infinity;
  }

  document.addEventListener("farm:refreshed", () => {
    for (const step of steps()) {
      const heading = document.getElementById(`step-${step.index}`);
      if (heading && !heading.querySelector("small").textContent.startsWith("continued")) fill(heading, step);
    }
    const head = document.getElementById("head");
    const newest = Number(head?.dataset.attempt || 0);
    if (head && newest !== attempt && head.dataset.pinned === undefined) begin(newest);
    else due();
  });

  // Bytes.

  let decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  function feed(bytes) {
    let from = 0;
    while (from < bytes.length) {
      const next = due();
      const newline = bytes.indexOf(10, from);
      let to = newline < 0 ? bytes.length : newline + 1;
      if (next - offset < to - from) to = from + (next - offset);
      terminal.write(decoder.decode(bytes.subarray(from, to), { stream: true }));
      offset += to - from;
      from = to;
    }
    paint();
  }

  const sleep = (millis) => new Promise((wake) => setTimeout(wake, millis));

  async function stream() {
    const mine = (abort = new AbortController());
    const address = (rest) => `/api/v1/builds/${log.dataset.build}/log?attempt=${attempt}&offset=${offset}${rest}`;
    let wait = 500;
    while (!mine.signal.aborted) {
      try {
        const answer = await fetch(address("&follow=1"), { signal: mine.signal, cache: "no-store" });
        if (!answer.ok) throw new Error(`status ${answer.status}`);
        reader = answer.body.getReader();
        for (;;) {
          const { value, done } = await reader.read();
          if (mine.signal.aborted) return;
          if (done) break;
          feed(value);
          wait = 500;
        }
        // An end is believed only if the log is final and has no more.
        const check = await fetch(address(""), { signal: mine.signal, cache: "no-store" });
        const rest = new Uint8Array(await check.arrayBuffer());
        if (check.ok && mine.signal.aborted === false) feed(rest);
        if (check.ok && check.headers.get("X-Log-Complete") === "true") {
          terminal.write(decoder.decode());
          delete log.dataset.live;
          paint();
          button();
          return;
        }
      } catch {
        // Comes back below.
      }
      await sleep(wait);
      wait = Math.min(wait * 2, 10000);
    }
  }

  // A build that was waiting, or was lost, has begun again: so does its log.
  function begin(number) {
    abort?.abort();
    attempt = number;
    [offset, line, headed, count, unseen, middle] = [0, 1, 0, 0, 0, false];
    decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    pending = document.createDocumentFragment();
    partial = [];
    restart("");
    rows.replaceChildren();
    for (const id of ["note", "trimmed"]) document.getElementById(id)?.remove();
    for (const more of log.querySelectorAll(".more")) more.remove();
    for (const link of log.querySelectorAll(".tools a[href^='/api']")) link.href = `/api/v1/builds/${log.dataset.build}/log?attempt=${attempt}`;
    log.dataset.live = "";
    stream();
  }

  // Following: only downwards, and only for a reader who is at the end.

  let following = false;
  let height = scrollY;
  const page = document.scrollingElement;
  const at_end = () => innerHeight + scrollY >= page.scrollHeight - 48;

  function bottom() {
    scrollTo(0, page.scrollHeight);
    height = scrollY;
    unseen = 0;
  }

  function button() {
    const live = log.dataset.live !== undefined;
    follow.hidden = !live;
    follow.classList.toggle("on", following);
    const text = following ? "Following" : unseen > 0 ? `${unseen} new ${unseen === 1 ? "line" : "lines"}` : "Follow";
    const said = follow.querySelector(".said");
    if (said.textContent !== text) said.textContent = text;
    follow.setAttribute("aria-pressed", String(following));
  }

  addEventListener(
    "scroll",
    () => {
      if (scrollY < height - 2) following = false;
      if (at_end() && log.dataset.live !== undefined) {
        following = true;
        unseen = 0;
      }
      height = scrollY;
      button();
    },
    { passive: true },
  );

  follow.addEventListener("click", () => {
    following = !following;
    if (following) bottom();
    button();
  });

  const wrap = document.getElementById("wrap");
  if (wrap) {
    wrap.hidden = false;
    wrap.addEventListener("click", () => {
      const on = rows.classList.toggle("long") === false;
      wrap.setAttribute("aria-pressed", String(on));
    });
  }

  // A step's name leads to its heading if that is on this page, and loads the part it is on if not.
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("[data-jump]");
    if (!link || !document.getElementById(link.dataset.jump)) return;
    event.preventDefault();
    location.hash = link.dataset.jump;
  });

  if (log.dataset.live !== undefined) stream();
  following = log.dataset.live !== undefined && !location.hash && at_end();
  button();
})();
