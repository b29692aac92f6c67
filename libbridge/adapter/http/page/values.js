/* The view of all paths: on the left a tree of which only what is seen is drawn, on the right one of them. */
import { here, login, Refused, watch } from "./api.js";
import { detail } from "./detail.js";
import { MOST_PATHS, Tree } from "./tree.js";
import { count, duration, empty, framed, h, icon, kind, later } from "./ui.js";

const ROW = 30;
export const tree = new Tree();
let stream = null, scope = "#", status = () => {};
const listeners = new Set(); /* called with each event */
let changed = () => {}, moved = () => {};

export const onEvent = fn => { listeners.add(fn); return () => listeners.delete(fn); };

/* The one stream that feeds the tree; also while other views are shown. */
export function begin(say) {
  status = say ?? status;
  stream?.close();
  status("wait", "connecting");
  stream = watch(scope, {
    open() { status("on", "live"); tree.clear(); changed(); },
    rests() { status("wait", "rests"); },
    event(event) {
      if (tree.take(event)) changed();
      else moved(event.path);
      for (const fn of listeners) fn(event);
    },
    lost(why) {
      if (why instanceof Refused && (why.status === 401 || why.status === 403)) {
        status("off", why.status === 401 ? "log in" : "not allowed");
        if (why.status === 401) login("This bridge wants to know who you are.").then(yes => { if (yes) location.reload(); });
      } else if (why instanceof Refused && why.status === 400) status("off", "not a pattern");
      else status("off", "no connection");
    },
  });
}

function list(pick) {
  const spacer = h("div.spacer"), box = h("div.tree", { tabIndex: 0, role: "tree", "aria-label": "paths" }, spacer);
  const filter = h("input", { type: "search", id: "filter", placeholder: "Search paths and values", "aria-label": "search", autocomplete: "off", spellcheck: false });
  const scoped = h("input", { id: "scope", value: scope, "aria-label": "which paths are watched", title: "which paths are watched: a filter such as home/# or $SYS/#", spellcheck: false, autocapitalize: "off" });
  const foot = h("div.foot", { role: "status" });
  let rows = [], chosen = null, first = 0, pool = [];

  const make = () => {
    const row = h("div.leaf", { role: "treeitem" }, h("span.fold", { onclick: e => { e.stopPropagation(); fold(row.node); } }), h("span.name"), h("span.inside"), h("span.value"), h("span.age"));
    row.addEventListener("click", () => choose(row.node, true));
    spacer.append(row);
    return row;
  };

  function draw() {
    const top = box.scrollTop, high = box.clientHeight || 600, now = Date.now();
    first = Math.max(0, Math.floor(top / ROW) - 6);
    const seen = rows.slice(first, first + Math.ceil(high / ROW) + 12);
    while (pool.length < seen.length) pool.push(make());
    pool.forEach((row, i) => {
      const item = seen[i];
      row.hidden = !item;
      if (item) paint(row, item, first + i, now);
    });
  }

  function paint(row, { node, depth, parents }, at, now) {
    const [foldMark, name, inside, value, age] = row.children, v = node.value;
    row.node = node;
    row.id = "row" + at;
    row.style.transform = `translateY(${at * ROW}px)`;
    row.style.paddingLeft = 8 + depth * 16 + "px";
    row.classList.toggle("chosen", node.name === chosen);
    row.classList.toggle("branch", !v);
    row.dataset.path = node.name;
    row.setAttribute("aria-level", depth + 1);
    row.setAttribute("aria-selected", node.name === chosen);
    if (parents) row.setAttribute("aria-expanded", !!(filter.value || tree.isOpen(node)));
    else row.removeAttribute("aria-expanded");
    foldMark.className = "fold" + (parents ? (filter.value || tree.isOpen(node) ? " down" : " right") : "");
    name.textContent = node.segment === "" ? "(empty)" : node.segment;
    inside.textContent = parents ? count(node.leaves - (v ? 1 : 0)) : "";
    value.textContent = v ? v.words : "";
    value.className = "value " + (v ? kind(v.value) + (v.kept ? "" : " event") : "") + (v && now - v.seen < 900 ? " fresh" : "");
    age.textContent = v ? (now - (v.time ?? v.seen) < 1000 ? "now" : duration(now - (v.time ?? v.seen))) : "";
  }

  const rebuild = framed(() => {
    rows = tree.rows(filter.value.trim());
    spacer.style.height = rows.length * ROW + "px";
    const none = !rows.length;
    box.classList.toggle("none", none);
    hint.hidden = !none;
    if (none) hint.replaceChildren(tree.byPath.size ? empty("No path fits.", "Search looks into names and values.") : welcome());
    foot.textContent = `${count(tree.byPath.size)} paths` + (tree.beyond ? `; no more than ${count(MOST_PATHS)} are shown: watch fewer, such as home/#` : "");
    draw();
  });
  const redraw = framed(draw);
  const hint = h("div", { hidden: true });

  const welcome = () => empty("Nothing has been said yet.", "Publish something, here or with any client:", h("pre", null,
    `mosquitto_pub -r -t home/lamp -m on\ncurl -X PUT ${location.origin}${here.mount}/home/lamp -d on`));

  function fold(node) {
    if (!node.children?.size) return;
    tree.open(node, !tree.isOpen(node));
    rebuild();
  }

  function choose(node, byHand) {
    const again = chosen === node.name;
    chosen = node.name;
    if (byHand && (!node.value || again)) fold(node);
    box.setAttribute("aria-activedescendant", "row" + rows.findIndex(r => r.node === node));
    if (node.value) pick(node.name, byHand);
    redraw();
  }

  function step(by) {
    const at = rows.findIndex(r => r.node.name === chosen), to = Math.max(0, Math.min(rows.length - 1, at < 0 ? 0 : at + by));
    if (!rows[to]) return;
    if (to * ROW < box.scrollTop) box.scrollTop = to * ROW;
    if ((to + 1) * ROW > box.scrollTop + box.clientHeight) box.scrollTop = (to + 1) * ROW - box.clientHeight;
    choose(rows[to].node, false);
  }

  box.addEventListener("keydown", e => {
    const row = rows.find(r => r.node.name === chosen), page = Math.max(1, Math.floor(box.clientHeight / ROW) - 1);
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -rows.length, End: rows.length }[e.key];
    if (by) step(by);
    else if (e.key === "ArrowRight" && row) row.parents && !tree.isOpen(row.node) ? fold(row.node) : step(1);
    else if (e.key === "ArrowLeft" && row) row.parents && tree.isOpen(row.node) ? fold(row.node) : row.node.parent.parent && choose(row.node.parent, false);
    else if ((e.key === "Enter" || e.key === " ") && row) choose(row.node, true);
    else return;
    e.preventDefault();
  });
  box.addEventListener("scroll", redraw, { passive: true });
  filter.addEventListener("input", later(() => { box.scrollTop = 0; rebuild(); }, 60));
  filter.addEventListener("keydown", e => { if (e.key === "ArrowDown") { box.focus(); step(0); e.preventDefault(); } });
  const rescope = () => { if (scoped.value.trim() && scoped.value !== scope) { scope = scoped.value.trim(); begin(); } };
  scoped.addEventListener("change", rescope);
  const observer = new ResizeObserver(redraw);
  observer.observe(box);
  changed = rebuild;
  moved = redraw;
  rebuild();
  const clock = setInterval(redraw, 1000);
  return {
    element: h("section.side", null, h("div.bar", null, filter, h("label.scope", null, "watching", scoped)), hint, box, foot),
    show(path) { chosen = path; for (let n = tree.byPath.get(path)?.parent; n; n = n.parent) tree.open(n, true); rebuild(); },
    end() { clearInterval(clock); observer.disconnect(); changed = moved = () => {}; },
  };
}

/* The view itself; path: what is chosen, or "". */
export function values(root, path) {
  const right = h("section.detail"), both = h("div.split"), back = h("button.plain.back", { onclick: () => { location.hash = "#/values"; } }, icon("back"), "paths");
  let inner = null;

  const all = list((name, byHand) => {
    if (byHand) location.hash = "#/values/" + encodeURIComponent(name);
    else history.replaceState(null, "", "#/values/" + encodeURIComponent(name)), open(name);
  });
  function open(name) {
    if (inner?.path === name) return;
    inner?.end();
    both.classList.toggle("inside", !!name);
    inner = detail(right, name, back);
  }
  both.append(all.element, right);
  root.replaceChildren(both);
  open(path);
  if (path) all.show(path);
  return {
    go(name) { open(name); if (name) all.show(name); },
    end() { inner?.end(); all.end(); },
  };
}
