/* Elements, words and small things that every view uses.  Strangers' text goes in as text, never as markup. */

/* h("div.card", {title: "x", onclick: f}, "text", other, ...): an element. */
export function h(what, props, ...children) {
  const [tag, ...classes] = what.split(".");
  const e = document.createElement(tag || "div");
  if (classes.length) e.className = classes.join(" ");
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
    else if (name in e && !name.startsWith("aria") && name !== "list" && name !== "role") e[name] = value;
    else e.setAttribute(name, value === true ? "" : value);
  }
  e.append(...children.flat(3).filter(c => c !== null && c !== undefined && c !== false));
  return e;
}

const SVG = "http://www.w3.org/2000/svg";
export function svg(tag, props, ...children) {
  const e = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(props ?? {})) e.setAttribute(name, value);
  e.append(...children);
  return e;
}

const ICONS = {
  values: "M4 5h6M4 12h6m4 0h6M4 19h6m4 0h6M7 5v14M14 5h6",
  messages: "M4 5h16v11H9l-5 4z",
  routes: "M5 6h6a4 4 0 0 1 4 4v4a4 4 0 0 0 4 4M16 15l3 3-3 3M3 6h2",
  peers: "M12 7a3 3 0 1 0 0-.01M5 19a7 7 0 0 1 14 0",
  devices: "M6 3h12v18H6zM10 18h4M9 7h6M9 10h6",
  light: "M12 8a4 4 0 1 0 .01 0M12 2v2m0 16v2M2 12h2m16 0h2M5 5l1.500 1.500m11 11L19 19M5 19l1.500-1.500m11-11L19 5",
  dark: "M20 14A8 8 0 1 1 10 4a7 7 0 0 0 10 10z",
  auto: "M12 3a9 9 0 1 0 .01 0zM12 3v18",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  back: "M15 5l-7 7 7 7",
  open: "M9 6l6 6-6 6",
  trash: "M5 7h14M10 11v6m4-6v6M7 7l1 13h8l1-13M9 7V4h6v3",
  eye: "M2 12s4-7 10-7 10 7 10 7-4 7-10 7S2 12 2 12zM12 9a3 3 0 1 0 .01 0z",
  user: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 21a8 8 0 0 1 16 0",
};
export function icon(name) {
  return svg("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));
}

/* ---- words */
const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
export function duration(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  for (const [unit, n] of UNITS) if (s >= n) return Math.floor(s / n) + " " + unit;
  return "now";
}
export const ago = (time, now = Date.now()) => now - time < 1500 ? "now" : duration(now - time) + " ago";
export const clock = time => new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
export const moment = time => new Date(time).toLocaleString([], { dateStyle: "medium", timeStyle: "medium" });
export function size(n) {
  if (n < 1000) return n + " B";
  for (const unit of ["kB", "MB", "GB"]) if ((n /= 1000) < 1000) return n.toPrecision(3) + " " + unit;
  return n.toFixed(0) + " TB";
}
export function count(n) {
  if (n < 10000) return String(Math.round(n));
  for (const unit of ["k", "M", "G"]) if ((n /= 1000) < 1000) return n.toPrecision(3) + " " + unit;
  return n.toExponential(2);
}
export const rate = n => n < 10 ? (Math.round(n * 10) / 10).toString() : count(n);
export const show = v => v === undefined ? "" : typeof v === "string" ? v : JSON.stringify(v);
export const number = v => typeof v === "number" ? v : typeof v === "string" && v.trim() !== "" && v.length < 40 && isFinite(v) ? Number(v) : null;
export function kind(v) {
  if (v === undefined) return "none";
  if (number(v) !== null) return "number";
  if (typeof v === "boolean" || v === "true" || v === "false" || v === "on" || v === "off") return "bool";
  return typeof v === "string" ? "text" : "json";
}

/* ---- small things */
export function note(words, bad) {
  const n = h("div.note" + (bad ? ".bad" : ""), null, words);
  document.getElementById("notes").append(n);
  setTimeout(() => n.remove(), bad ? 8000 : 3500);
}

/* A question in front of everything; the answer is what the button says, or null. */
export function dialog(title, body, buttons) {
  return new Promise(done => {
    const d = h("dialog", { "aria-label": title, onclose: () => { done(d.returnValue || null); d.remove(); } },
      h("form", { method: "dialog" }, h("h2", null, title), body,
        h("div.row.end", null, buttons.map(([value, words, what]) => h("button" + (what ? "." + what : ""), value ? { value } : { type: "button", onclick: () => d.close("") }, words)))));
    document.body.append(d);
    d.showModal();
  });
}
export const confirm = (title, words, yes) => dialog(title, h("p", null, words), [["", "Cancel"], ["yes", yes, "danger"]]).then(said => said === "yes");

export function copy(text) {
  (navigator.clipboard?.writeText(text) ?? Promise.reject()).then(() => note("Copied."), () => note("The browser does not let this page copy.", true));
}

export const later = (fn, ms) => { let timer = 0; return (...args) => { clearTimeout(timer); timer = setTimeout(() => fn(...args), ms); }; };
/* At most once a frame; in a hidden page a little later. */
export function framed(fn) {
  let wanted = false;
  const run = () => { wanted = false; fn(); };
  return () => { if (!wanted) { wanted = true; document.hidden ? setTimeout(run, 500) : requestAnimationFrame(run); } };
}
export const empty = (title, ...words) => h("div.empty", null, h("b", null, title), h("div", null, ...words));
export const chip = (words, what = "", title) => h("span.chip" + (what ? "." + what : ""), { title }, words);

/* Rows of a table that are changed, not made anew, so that a selection and the focus stay: key(item) says which is which. */
export function rows(body, items, key, make, update) {
  const there = new Map([...body.children].map(row => [row.dataset.key, row]));
  let at = body.firstElementChild;
  for (const item of items) {
    const k = String(key(item));
    let row = there.get(k);
    if (row) there.delete(k);
    else { row = make(item); row.dataset.key = k; }
    update(row, item);
    if (row === at) at = at.nextElementSibling;
    else body.insertBefore(row, at);
  }
  for (const row of there.values()) row.remove();
}
