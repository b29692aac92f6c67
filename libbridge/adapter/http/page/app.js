/* Which view is shown, the numbers above it, light and dark, who is here, keys. */
import { here, json, login, logout, meet } from "./api.js";
import { spark } from "./chart.js";
import { devices } from "./devices.js";
import { messages } from "./messages.js";
import { peers } from "./peers.js";
import { routes } from "./routes.js";
import { count, dialog, h, icon, note, rate } from "./ui.js";
import { begin, tree, values } from "./values.js";

const VIEWS = { values: ["Values", values], messages: ["Messages", messages], routes: ["Routes", routes], peers: ["Connections", peers], devices: ["Devices", devices] };
const $ = id => document.getElementById(id);
let shown = null, view = null;

/* ---- views: #/values/home%2Flamp */
function go() {
  const [, name = "values", rest = ""] = location.hash.split("/"), known = name in VIEWS ? name : "values";
  let thing = "";
  try { thing = decodeURIComponent(rest); } catch { /* a bad link: the view alone */ }
  for (const a of $("nav").children) a.toggleAttribute("aria-current", a.dataset.view === known);
  document.title = (thing ? thing + " · " : "") + VIEWS[known][0] + " · bridge";
  if (known === shown && view.go) return view.go(thing);
  view?.end();
  shown = known;
  $("main").dataset.view = known;
  view = VIEWS[known][1]($("main"), thing);
}

/* ---- numbers */
const cells = {}, past = { in: [], out: [] };
let before = null;
function cell(name, words, line) {
  if (!cells[name]) {
    cells[name] = { value: h("b", null, "–"), line: line ? spark(54, 18) : null };
    $("numbers").append(h("span." + name, null, cells[name].value, " " + words, cells[name].line));
  }
  return cells[name];
}
async function numbers() {
  if (!document.hidden) try {
    const sum = {}, now = performance.now();
    const [stats, peers] = await Promise.all([json("/api/stats"), json("/api/peers?limit=0").catch(() => null)]);
    for (const s of stats) sum[s.name] = (sum[s.name] ?? 0) + s.value;
    cell("paths", "values").value.textContent = count(sum.bridge_hub_values ?? tree.byPath.size);
    if (peers) cell("peers", "connected").value.textContent = count(peers.total);
    for (const [name, stat] of [["in", "bridge_hub_accepted_total"], ["out", "bridge_hub_delivered_total"]]) {
      const c = cell(name, name + "/s", true);
      if (!before) continue;
      const r = Math.max(0, (sum[stat] - before.sum[stat]) / (now - before.now) * 1000);
      c.value.textContent = rate(r);
      past[name].push(r);
      if (past[name].length > 30) past[name].shift();
      c.line.draw(past[name]);
    }
    before = { sum, now };
  } catch { /* the pill tells */ }
  setTimeout(numbers, 2000);
}

/* ---- light and dark */
const THEMES = ["auto", "light", "dark"];
let theme = "auto";
function dress(next) {
  theme = next;
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  $("theme").replaceChildren(icon(theme));
  $("theme").title = `colours: ${theme} (t)`;
  try { localStorage.setItem("theme", theme); } catch { /* for this time only */ }
}
const nextTheme = () => dress(THEMES[(THEMES.indexOf(theme) + 1) % 3]);

/* ---- who */
function who() {
  $("who").replaceChildren(icon("user"), h("span", null, here.user ?? "Log in"));
  $("who").title = here.user ? `logged in as ${here.user}; log out` : "anonymous; log in";
}
async function changeWho() {
  if (here.user && here.login) { logout(); location.reload(); return; }
  if (await login()) location.reload();
}

function help() {
  const key = (k, words) => [h("dt", null, h("kbd", null, k)), h("dd", null, words)];
  dialog("Keys", h("dl", null, key("1 … 5", "the views"), key("/", "search"), key("↑ ↓ ← →", "walk the tree, open and close"), key("Enter", "open what is chosen"), key("Ctrl Enter", "publish"), key("t", "light, dark, as the system"), key("?", "this")), [["", "Close", "main"]]);
}
function keys(e) {
  if (e.ctrlKey || e.metaKey || e.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName) || document.querySelector("dialog[open]")) return;
  const names = Object.keys(VIEWS), n = Number(e.key);
  if (n >= 1 && n <= names.length) location.hash = "#/" + names[n - 1];
  else if (e.key === "/") { const f = document.querySelector("#filter, #pattern"); f?.focus(); f?.select(); }
  else if (e.key === "t") nextTheme();
  else if (e.key === "?") help();
  else return;
  e.preventDefault();
}

async function start() {
  let saved = "auto";
  try { saved = localStorage.getItem("theme") ?? "auto"; } catch { /* not kept */ }
  dress(THEMES.includes(saved) ? saved : "auto");
  Object.entries(VIEWS).forEach(([name, [words]], i) => $("nav").append(h("a", { href: "#/" + name, "data-view": name, title: `${words} (${i + 1})` }, icon(name), h("span", null, words))));
  $("theme").onclick = nextTheme;
  $("who").onclick = changeWho;
  who();
  addEventListener("hashchange", go);
  addEventListener("keydown", keys);
  for (let known = false; !known;) {
    try { await meet(); known = true; } catch (e) {
      $("live").textContent = e.status === 401 ? "log in" : e.status ? "not allowed" : "no connection";
      $("live").className = "pill off";
      if (e.status !== 401 && e.status) { note(e.message, true); break; }
      if (e.status === 401) {
        if (here.login) logout();
        if (!await login("This bridge wants to know who you are.")) break;
      } else await new Promise(done => setTimeout(done, 2000));
    }
  }
  who();
  begin((what, words) => { $("live").className = "pill " + what; $("live").textContent = words; });
  go();
  numbers();
}
start();
