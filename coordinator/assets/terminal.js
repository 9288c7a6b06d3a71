// What a terminal would show of a build's output, row by row: src/web/ansi.rs, in the browser.
// The two must agree, for the server renders the beginning of a log and this the rest; tests/web.rs compares them.
"use strict";

class Terminal {
  static COLUMNS = 4096;
  static PARAMS = 64;
  static PALETTE = [
    [0, 0, 0], [205, 0, 0], [0, 205, 0], [205, 205, 0], [0, 0, 238], [205, 0, 205], [0, 205, 205], [229, 229, 229],
    [127, 127, 127], [255, 0, 0], [0, 255, 0], [255, 255, 0], [92, 92, 255], [255, 0, 255], [0, 255, 255], [255, 255, 255],
  ];

  // `row` is called with [[classes, text], …] and "newline" or "full" for each row that is complete.
  constructor(row, classes = "") {
    this.row = row;
    this.cells = [];
    this.column = 0;
    this.styles = new Map();
    this.plain = this.intern({ b: false, d: false, i: false, u: false, s: false, v: false, f: -1, g: -1 });
    this.style = this.intern(Terminal.parse(classes));
    this.state = "ground";
    this.params = "";
  }

  // The row that is not complete yet.
  runs() {
    const runs = [];
    let last = null;
    let text = "";
    for (const [c, style] of this.cells) {
      if (style !== last && last) {
        runs.push([last.shown, text]);
        text = "";
      }
      last = style;
      text += c;
    }
    if (last) runs.push([last.shown, text]);
    return runs;
  }

  // Completes the row, as at the beginning of a step.
  flush() {
    const runs = this.runs();
    this.cells = [];
    this.column = 0;
    return runs;
  }

  write(text) {
    for (const c of text) this.print(c, c.codePointAt(0));
  }

  print(c, n) {
    if (n === 10) {
      this.state = "ground";
      this.row(this.flush(), "newline");
      return;
    }
    const final = n >= 0x30 && n <= 0x7e;
    const middle = n >= 0x20 && n <= 0x2f;
    switch (this.state) {
      case "ground":
        return this.ground(c, n);
      case "escape":
        this.state = "ground";
        if (c === "[") {
          this.state = "control";
          this.params = "";
        } else if ("]PX^_".includes(c)) this.state = "text";
        else if (middle) this.state = "tail";
        else if (!final) this.ground(c, n);
        return;
      case "tail":
        if (middle) return;
        this.state = "ground";
        if (!final) this.ground(c, n);
        return;
      case "control":
        if (n >= 0x20 && n <= 0x3f) {
          if (this.params.length <= Terminal.PARAMS) this.params += c;
          return;
        }
        this.state = "ground";
        if (n >= 0x40 && n <= 0x7e) this.control(c);
        else this.ground(c, n);
        return;
      case "text":
        if (n === 7 || n === 0x18 || n === 0x1a) this.state = "ground";
        else if (n === 27) this.state = "escape";
    }
  }

  ground(c, n) {
    if (n === 27) this.state = "escape";
    else if (n === 13) this.column = 0;
    else if (n === 8) this.column = Math.max(0, this.column - 1);
    else if (n === 7) return;
    else if (n === 9) this.put(c);
    else if (n < 32) this.put(String.fromCharCode(0x2400 + n));
    else if (n === 127) this.put("\u2421");
    else if (n >= 0x80 && n <= 0x9f) this.put("\ufffd");
    else if (Terminal.reorders(n)) for (const x of `<U+${n.toString(16).toUpperCase().padStart(4, "0")}>`) this.put(x);
    else this.put(c);
  }

  put(c) {
    if (this.column >= Terminal.COLUMNS) this.row(this.flush(), "full");
    while (this.cells.length < this.column) this.cells.push([" ", this.plain]);
    this.cells[this.column] = [c, this.style];
    this.column += 1;
  }

  control(last) {
    const params = this.params;
    if (params.length > Terminal.PARAMS || /[^0-9;:]/.test(params)) return;
    const head = params.split(";")[0];
    const first = /^\d+$/.test(head) ? Number(head) : null;
    const count = Math.min(Math.max(first ?? 1, 1), Terminal.COLUMNS);
    switch (last) {
      case "m":
        this.style = this.intern(this.apply(params));
        break;
      case "C":
        this.column = Math.min(this.column + count, Terminal.COLUMNS);
        break;
      case "D":
        this.column = Math.max(0, this.column - count);
        break;
      case "G":
        this.column = count - 1;
        break;
      case "K":
        if ((first ?? 0) === 0) this.cells.length = Math.min(this.cells.length, this.column);
        else if (first === 1) for (let i = 0; i <= this.column && i < this.cells.length; i++) this.cells[i] = [" ", this.plain];
        else if (first === 2) this.cells = [];
    }
  }

  apply(params) {
    let style = { ...this.style.value };
    const list = params.split(";");
    const number = (text) => (text !== undefined && /^\d+$/.test(text) && Number(text) < 2 ** 32 ? Number(text) : 0);
    for (let at = 0; at < list.length; at++) {
      const parts = list[at].split(":").map(number);
      const code = parts[0];
      if (code === 0) style = { ...this.plain.value };
      else if (code === 1) style.b = true;
      else if (code === 2) style.d = true;
      else if (code === 3) style.i = true;
      else if (code === 4) style.u = parts[1] !== 0;
      else if (code === 7) style.v = true;
      else if (code === 9) style.s = true;
      else if (code === 21) style.u = true;
      else if (code === 22) style.b = style.d = false;
      else if (code === 23) style.i = false;
      else if (code === 24) style.u = false;
      else if (code === 27) style.v = false;
      else if (code === 29) style.s = false;
      else if (code >= 30 && code <= 37) style.f = code - 30;
      else if (code === 39) style.f = -1;
      else if (code >= 40 && code <= 47) style.g = code - 40;
      else if (code === 49) style.g = -1;
      else if (code >= 90 && code <= 97) style.f = code - 82;
      else if (code >= 100 && code <= 107) style.g = code - 92;
      else if (code === 38 || code === 48 || code === 58) {
        let colour = null;
        if (parts.length > 1) {
          const [, kind, ...rest] = parts;
          if (kind === 5 && rest.length >= 1) colour = Terminal.indexed(rest[0]);
          else if (kind === 2 && rest.length >= 4) colour = Terminal.nearest(rest[1], rest[2], rest[3]);
          else if (kind === 2 && rest.length === 3) colour = Terminal.nearest(...rest);
        } else {
          const next = () => number(list[++at]);
          const kind = next();
          if (kind === 5) colour = Terminal.indexed(next());
          else if (kind === 2) colour = Terminal.nearest(next(), next(), next());
        }
        if (colour !== null && code === 38) style.f = colour;
        if (colour !== null && code === 48) style.g = colour;
      }
    }
    return style;
  }

  // One object for each style, so that runs of equal style are found by identity.
  intern(value) {
    const raw = Terminal.classes(value);
    let style = this.styles.get(raw);
    if (!style) {
      style = { value, raw, shown: value.v ? Terminal.inverse(value) : raw };
      this.styles.set(raw, style);
    }
    return style;
  }

  static classes(value) {
    const names = ["b", "d", "i", "u", "s", "v"].filter((name) => value[name]);
    if (value.f >= 0) names.push("f" + value.f);
    if (value.g >= 0) names.push("g" + value.g);
    return names.join(" ");
  }

  static inverse(value) {
    const names = [];
    if (value.g < 0) names.push("fi");
    if (value.f < 0) names.push("gi");
    const rest = Terminal.classes({ ...value, v: false, f: value.g, g: value.f });
    return rest ? [...names, rest].join(" ") : names.join(" ");
  }

  static parse(classes) {
    const value = { b: false, d: false, i: false, u: false, s: false, v: false, f: -1, g: -1 };
    for (const name of classes.split(" ").filter(Boolean)) {
      if (name.length === 1) value[name] = true;
      else value[name[0]] = Number(name.slice(1));
    }
    return value;
  }

  static indexed(n) {
    const level = (i) => (i === 0 ? 0 : 55 + 40 * i);
    if (n < 16) return n;
    if (n < 232) return Terminal.nearest(level(Math.trunc((n - 16) / 36)), level(Math.trunc((n - 16) / 6) % 6), level((n - 16) % 6));
    if (n < 256) return Terminal.nearest(8 + 10 * (n - 232), 8 + 10 * (n - 232), 8 + 10 * (n - 232));
    return 7;
  }

  static nearest(...wanted) {
    let best = 7;
    let least = Infinity;
    Terminal.PALETTE.forEach((colour, n) => {
      const distance = colour.reduce((sum, part, i) => sum + (part - Math.min(wanted[i], 255)) ** 2, 0);
      if (distance < least) [best, least] = [n, distance];
    });
    return best;
  }

  static reorders(n) {
    return n === 0x61c || n === 0x200e || n === 0x200f || (n >= 0x2028 && n <= 0x202e) || (n >= 0x2066 && n <= 0x2069);
  }
}

if (typeof module !== "undefined") module.exports = { Terminal };
