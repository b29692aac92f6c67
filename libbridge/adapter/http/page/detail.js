/* One path: its value in its formats, what is known of it, its line over time, why it goes where it goes. */
import { json, raw, Refused, target } from "./api.js";
import { chart } from "./chart.js";
import { publishForm } from "./publish.js";
import { ago, chip, copy, empty, framed, h, icon, kind, moment, show, size } from "./ui.js";
import { onEvent, tree } from "./values.js";

const FORMATS = [["", "as it is"], ["text/plain", "text"], ["application/json", "JSON"], ["application/senml+json", "SenML JSON"], ["application/cbor", "CBOR"],
  ["application/senml+cbor", "SenML CBOR"], ["hex", "bytes in hex"]];
const SPANS = [["live", "live", 0], ["1h", "1 hour", 3600], ["24h", "24 hours", 86400], ["7d", "7 days", 604800], ["30d", "30 days", 2592000]];
const MOST_SHOWN = 20000;

function hex(bytes) {
  const lines = [];
  for (let i = 0; i < Math.min(bytes.length, 4096); i += 16) {
    const part = [...bytes.slice(i, i + 16)];
    lines.push(i.toString(16).padStart(4, "0") + "  " + part.map(b => b.toString(16).padStart(2, "0")).join(" ").padEnd(48) + " " +
      part.map(b => b > 31 && b < 127 ? String.fromCharCode(b) : "·").join(""));
  }
  return lines.join("\n") + (bytes.length > 4096 ? "\n…" : "");
}

/* The value as the bridge makes it in another format. */
async function fetched(path, type) {
  const r = await raw(target(path), type && type !== "hex" ? { headers: { Accept: type } } : {});
  if (!r.ok) throw new Refused(r.status, (await r.json().catch(() => ({}))).detail);
  const bytes = new Uint8Array(await r.arrayBuffer()), said = r.headers.get("Content-Type") ?? "";
  if (type === "hex" || /cbor|octet|tlv|image|protobuf/.test(said)) return hex(bytes);
  const words = new TextDecoder().decode(bytes);
  if (/json/.test(said)) try { return JSON.stringify(JSON.parse(words), null, 2); } catch { /* it lies */ }
  return words.slice(0, MOST_SHOWN);
}

/* ---- the line */
function plot(path) {
  const lines = chart(), say = h("span.said"), span = h("select", { id: "span", "aria-label": "how far back" }, SPANS.map(([value, words]) => h("option", { value }, words)));
  const how = h("select", { id: "aggregate", "aria-label": "aggregate", hidden: true }, ["mean", "min", "max", "sum", "count", "first", "last"].map(v => h("option", null, v)));
  const box = h("div.card.line", { hidden: true }, h("div.row.head", null, h("h3", null, "Over time"), span, how, say), lines.element);
  let turn = 0;

  function live() {
    const points = tree.series.get(path) ?? [];
    if (points.length < 2) { lines.draw([]); say.textContent = "The line begins with the next value."; return; }
    say.textContent = "";
    lines.draw(points);
  }

  async function past() {
    const mine = ++turn, seconds = SPANS.find(s => s[0] === span.value)[2], step = Math.max(1, Math.round(seconds / 240));
    say.textContent = "…";
    try {
      const url = "/history/" + target(path).slice(target("").length) + `?from=-${seconds}s&aggregate=${how.value}&step=${step}s&as=columns&limit=1000`;
      const said = await json(url), key = Object.keys(said).find(k => k === "value" || k === how.value) ?? "value";
      const points = (said.time ?? []).map((t, i) => [typeof t === "number" ? (t < 1e11 ? t * 1000 : t) : Date.parse(t), said[key]?.[i]]).filter(p => typeof p[1] === "number");
      if (mine !== turn) return;
      lines.draw(points);
      say.textContent = points.length > 1 ? `one ${how.value} for each ${step < 60 ? step + " s" : Math.round(step / 60) + " min"}` : "Nothing is recorded for that time.";
    } catch (e) {
      if (mine !== turn) return;
      lines.draw([]);
      say.textContent = e.status === 404 || e.status === 501 ? "No past is kept for this path; see \"history\" in the configuration." : e.message;
    }
  }

  const redraw = framed(() => { if (!box.hidden && span.value === "live") live(); });
  const choose = () => { how.hidden = span.value === "live"; turn++; span.value === "live" ? live() : past(); };
  span.addEventListener("change", choose);
  how.addEventListener("change", past);
  return {
    element: box,
    number(is) { if (is) box.hidden = false; redraw(); },
  };
}

/* ---- why */
function why(path) {
  const list = h("ul.sentences", { id: "words" });
  async function look() {
    try {
      const said = await json("/api/explain?path=" + encodeURIComponent(path));
      list.replaceChildren(...said.text.trim().split("\n").slice(1).map(line => h("li", null, line)));
    } catch (e) { list.replaceChildren(h("li", null, e.message)); }
  }
  const box = h("details.card", { ontoggle: () => { if (box.open) look(); } }, h("summary", null, h("h3", null, "Where it goes, and why")), list);
  return box;
}

function facts(v) {
  const row = (name, ...what) => [h("dt", null, name), h("dd", null, ...what)];
  return h("dl", null,
    row("said", v.time ? `${ago(v.time)} · ${moment(v.time)}` : ago(v.seen)),
    v.origin ? row("by", h("span.mono", null, v.origin)) : null,
    row("type", (v.type ?? "not said").replace(/;charset=utf-8/, "") + (v.guess ? ", told from its looks" : "")),
    row("version", h("span.mono", null, v.version ?? "")),
    v.expires ? row("expires", moment(v.expires)) : null,
    (v.properties ?? []).map(([name, value]) => row(h("span.mono", null, name), h("span.mono", null, value))),
    row("address", h("span.mono.break", null, location.origin + target(v.path))));
}

export function detail(root, path, back) {
  if (!path) {
    root.replaceChildren(empty("Choose a path", "Its value, line, past and ways are shown here.", h("br"), "Keys: / searches, arrows walk the tree, 1 to 5 change the view, ? tells all."));
    return { path, end() {} };
  }
  const chips = h("div.chips"), now = h("div.now", { id: "now" }), known = h("div"), line = plot(path), form = publishForm(path);
  const format = h("select", { id: "format", "aria-label": "shown as" }, FORMATS.map(([value, words]) => h("option", { value }, words)));
  let shown = null;

  async function fill(v) {
    const type = format.value;
    let words;
    try {
      words = type || v.long || "base64" in v ? await fetched(path, type) : typeof v.value === "object" ? JSON.stringify(v.value, null, 2) : show(v.value);
    } catch (e) { words = e.message; }
    if (format.value !== type || shown !== v) return;
    now.textContent = words === "" ? "(empty)" : words;
    now.className = "now " + (words.length > 40 || words.includes("\n") ? "long" : kind(v.value));
  }
  const paint = framed(() => {
    const v = tree.byPath.get(path)?.value;
    if (!v) {
      chips.replaceChildren(chip("nothing here now"));
      if (!shown) now.textContent = "";
      now.classList.add("gone");
      known.replaceChildren();
      return;
    }
    const fresh = shown !== v;
    shown = v;
    if (fresh) {
      chips.replaceChildren(v.kept ? chip("kept", "good", "the last value is kept for who comes later") : chip("event", "", "said once, not kept"),
        chip((v.type ?? "bytes").replace(/;.*/, "")), v.len === undefined ? "" : chip(size(v.len)), v.qos ? chip("QoS " + v.qos) : "", v.expires ? chip("expires " + moment(v.expires)) : "");
      fill(v);
      line.number(kind(v.value) === "number" || tree.series.has(path));
    }
    known.replaceChildren(facts(v));
  });
  format.addEventListener("change", () => { if (shown) fill(shown); });
  const off = onEvent(event => { if (event.path === path) paint(); }), clock = setInterval(paint, 1000);

  root.replaceChildren(
    h("div.head", null, back, h("h2.mono", { id: "path" }, path), h("button.plain", { title: "copy the path", "aria-label": "copy the path", onclick: () => copy(path) }, icon("copy"))),
    h("div.card", null, h("div.row.head", null, chips, format), now, known),
    line.element,
    h("div.card", null, h("h3", null, "Say something here"), form.element),
    why(path));
  root.scrollTop = 0;
  paint();
  return { path, end() { off(); clearInterval(clock); } };
}
