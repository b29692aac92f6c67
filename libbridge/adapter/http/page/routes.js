/* Routes with what has crossed them, and why a path goes where it goes. */
import { ask, json } from "./api.js";
import { spark } from "./chart.js";
import { chip, confirm, count, empty, h, icon, later, note, rate, rows } from "./ui.js";

const PAGE = 100;

/* A form for a new route: what it would do is said before it is there. */
function adding(done) {
  const field = (id, placeholder, required) => h("input.mono.wide", { id, placeholder, required, "aria-label": id, spellcheck: false, autocapitalize: "off" });
  const choice = (id, options) => h("select", { id, "aria-label": id }, options.map(([value, words]) => h("option", { value }, words)));
  const source = field("source", "coap:t/{room}", true), to = field("target", "home/{room}/temperature", true), transform = field("transform", "pick $.temp | unit degF Cel");
  const ways = choice("ways", [["auto", "as it can"], ["one", "one way"], ["both", "both ways"]]), retain = choice("retain", [["", "as it came"], ["true", "always"], ["false", "never"]]);
  const qos = choice("cap", [["", "as it came"], ["0", "at most 0"], ["1", "at most 1"]]), format = choice("as", [["", "as it came"], ["json", "JSON"], ["text", "text"], ["cbor", "CBOR"], ["senml+json", "SenML JSON"], ["senml+cbor", "SenML CBOR"]]);
  const priority = h("input.short", { id: "priority", type: "number", placeholder: "0", "aria-label": "priority" }), words = h("ul.sentences", { id: "would", role: "status" });

  const said = () => JSON.stringify({ source: source.value.trim(), target: to.value.trim(), ways: ways.value, ...(transform.value.trim() ? { transform: transform.value.trim() } : {}),
    ...(retain.value ? { retain: retain.value === "true" } : {}), ...(qos.value ? { qos: Number(qos.value) } : {}), ...(format.value ? { format: format.value } : {}), ...(priority.value ? { priority: Number(priority.value) } : {}) });
  const post = query => ask("/api/routes" + query, { method: "POST", body: said(), headers: { "Content-Type": "application/json" } });
  async function attempt() {
    if (!form.reportValidity()) return;
    try { words.replaceChildren(...(await (await post("?try")).json()).text.trim().split("\n").map(line => h("li", null, line))); } catch (e) { words.replaceChildren(h("li.bad", null, e.message)); }
  }
  async function add(e) {
    e.preventDefault();
    try {
      await post("");
      note("Added.");
      words.replaceChildren();
      form.reset();
      done();
    } catch (wrong) { words.replaceChildren(h("li.bad", null, wrong.message)); }
  }
  const form = h("form.publish", { onsubmit: add }, h("div.row", null, source, h("span.arrow", null, "→"), to), transform,
    h("div.row", null, h("label", null, "ways", ways), h("label", null, "kept", retain), h("label", null, "QoS", qos), h("label", null, "format", format), h("label", null, "priority", priority)),
    h("div.row", null, h("button", { type: "button", id: "try", onclick: attempt }, "What would it do?"), h("button.main", { id: "add" }, "Add")), words);
  return h("section.card", { id: "adding", hidden: true }, h("h2", null, "Add a route"), form);
}

async function takeAway(route, done) {
  if (!await confirm("Take this route away?", route.route, "Take away")) return;
  try {
    await ask("/api/routes/" + route.id, { method: "DELETE" });
    note("Taken away.");
  } catch (e) { note(e.message, true); }
  done();
}

export function routes(root) {
  const why = h("input.mono.wide", { id: "why", placeholder: "home/kitchen/temperature", "aria-label": "a path", spellcheck: false, autocapitalize: "off" });
  const words = h("ul.sentences", { id: "words" }), filter = h("input", { id: "filter", type: "search", placeholder: "Search routes", "aria-label": "search routes" });
  const body = h("tbody"), table = h("table", null, h("thead", null, h("tr", null, ["Route", "Does", "Crossed", "Now", ""].map((w, i) => h("th" + (i > 1 ? ".n" : ""), null, w)))), body);
  const none = h("div"), more = h("button.plain", { onclick: () => { shown += PAGE; look(); } }, "more"), total = h("span.dim");
  let shown = PAGE, timer = 0, over = false;

  async function explain(e) {
    e?.preventDefault();
    if (!why.value) return;
    try {
      const said = await json("/api/explain?path=" + encodeURIComponent(why.value));
      words.replaceChildren(...said.text.trim().split("\n").slice(1).map(line => h("li", null, line)));
    } catch (wrong) { words.replaceChildren(h("li.bad", null, wrong.message)); }
  }

  const make = route => {
    const [from, to] = route.route.split(" -> ");
    const row = h("tr", null,
      h("td", { "data-name": "Route" }, h("div.mono.route", null, h("span", null, from ?? route.route), h("span.arrow", null, route.both_ways ? "⇄" : "→"), h("span", null, to ?? ""))),
      h("td", { "data-name": "Does" }, h("div.chips", null, chip(route.names ? (route.names === "*" ? "names for all" : "names for " + route.names) : "copies"),
        route.format ? chip("as " + route.format) : "", route.transform ? chip(route.transform, "mono") : "", route.priority ? chip("priority " + route.priority) : "")),
      h("td.n", { "data-name": "Crossed" }), h("td.n", { "data-name": "Now" }, h("span.rate"), spark()),
      h("td.n", null, route.id ? h("button.danger.plain", { title: "take this route away", "aria-label": "take away " + route.route, onclick: () => takeAway(route, look) }, icon("trash")) : ""));
    row.past = [];
    return row;
  };
  const update = (row, route) => {
    const now = performance.now(), before = row.seen;
    row.children[2].textContent = count(route.crossed);
    if (before) {
      const r = Math.max(0, (route.crossed - before[1]) / (now - before[0]) * 1000);
      row.past.push(r);
      if (row.past.length > 30) row.past.shift();
      row.querySelector(".rate").textContent = rate(r) + "/s";
      row.querySelector(".spark").draw(row.past);
    }
    row.seen = [now, route.crossed];
  };

  async function look() {
    clearTimeout(timer);
    if (!document.hidden) try {
      const said = await json(`/api/routes?limit=${Math.min(shown, 1000)}&q=${encodeURIComponent(filter.value)}`);
      if (over) return;
      rows(body, said.routes, r => r.route + "\n" + (r.priority ?? 0) + (r.id ?? ""), make, update);
      add.hidden = !said.change;
      table.hidden = !said.routes.length;
      none.replaceChildren(said.routes.length ? "" : filter.value ? empty("No route fits.") :
        empty("There are no routes.", "Every path is the same in all protocols. A route gives one protocol other names, or copies:", h("pre", null, "bridged --route 'coap:r/{room}/temp -> home/{room}/temperature'")));
      total.textContent = said.total > said.routes.length ? `${said.routes.length} of ${count(said.total)}` : `${said.total} routes`;
      more.hidden = said.total <= said.routes.length || shown >= 1000;
    } catch (e) { if (!over) none.replaceChildren(empty("Not to be seen.", e.message)); }
    if (!over) timer = setTimeout(look, 2000);
  }
  const add = adding(() => look());
  filter.addEventListener("input", later(look, 150));
  root.replaceChildren(h("div.stack", null,
    h("section.card", null, h("h2", null, "Explain a path"), h("form.row", { onsubmit: explain }, why, h("button.main", { id: "explain" }, "Explain")), words),
    add,
    h("section.card", null, h("div.row.head", null, h("h2", null, "Routes"), total, filter), none, h("div.scroll", null, table), more)));
  look();
  return { end() { over = true; clearTimeout(timer); } };
}
