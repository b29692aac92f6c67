/* Routes with what has crossed them, and why a path goes where it goes. */
import { json } from "./api.js";
import { spark } from "./chart.js";
import { chip, count, empty, h, later, rate, rows } from "./ui.js";

const PAGE = 100;

export function routes(root) {
  const why = h("input.mono.wide", { id: "why", placeholder: "home/kitchen/temperature", "aria-label": "a path", spellcheck: false, autocapitalize: "off" });
  const words = h("ul.sentences", { id: "words" }), filter = h("input", { id: "filter", type: "search", placeholder: "Search routes", "aria-label": "search routes" });
  const body = h("tbody"), table = h("table", null, h("thead", null, h("tr", null, ["Route", "Does", "Crossed", "Now"].map((w, i) => h("th" + (i > 1 ? ".n" : ""), null, w)))), body);
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
      h("td.n", { "data-name": "Crossed" }), h("td.n", { "data-name": "Now" }, h("span.rate"), spark()));
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
      rows(body, said.routes, r => r.route + "\n" + (r.priority ?? 0), make, update);
      table.hidden = !said.routes.length;
      none.replaceChildren(said.routes.length ? "" : filter.value ? empty("No route fits.") :
        empty("There are no routes.", "Every path is the same in all protocols. A route gives one protocol other names, or copies:", h("pre", null, "bridged --route 'coap:r/{room}/temp -> home/{room}/temperature'")));
      total.textContent = said.total > said.routes.length ? `${said.routes.length} of ${count(said.total)}` : `${said.total} routes`;
      more.hidden = said.total <= said.routes.length || shown >= 1000;
    } catch (e) { if (!over) none.replaceChildren(empty("Not to be seen.", e.message)); }
    if (!over) timer = setTimeout(look, 2000);
  }
  filter.addEventListener("input", later(look, 150));
  root.replaceChildren(h("div.stack", null,
    h("section.card", null, h("h2", null, "Explain a path"), h("form.row", { onsubmit: explain }, why, h("button.main", { id: "explain" }, "Explain")), words),
    h("section.card", null, h("div.row.head", null, h("h2", null, "Routes"), total, filter), none, h("div.scroll", null, table), more)));
  look();
  return { end() { over = true; clearTimeout(timer); } };
}
