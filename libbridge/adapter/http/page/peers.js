/* Who is connected, where the bridge listens and what it is connected to, and all its numbers. */
import { json } from "./api.js";
import { spark } from "./chart.js";
import { ago, chip, count, empty, h, later, moment, rate, rows } from "./ui.js";

const PAGE = 50;

export function peers(root) {
  const cards = h("div.cards", { id: "ports" }), filter = h("input", { id: "filter", type: "search", placeholder: "Search names, addresses, users", "aria-label": "search peers" });
  const body = h("tbody", { id: "peers" }), none = h("div"), total = h("span.dim"), pager = h("div.row.end");
  const table = h("table", null, h("thead", null, h("tr", null, ["Name", "Protocol", "User", "Address", "Since", "Watches", "In", "Out", ""].map((w, i) => h("th" + (i > 4 && i < 8 ? ".n" : ""), null, w)))), body);
  const numbers = h("tbody"), find = h("input", { type: "search", placeholder: "Search numbers", "aria-label": "search numbers", oninput: () => paintNumbers() });
  const all = h("details.card", null, h("summary", null, h("h2", null, "All numbers")), find, h("div.scroll", null, h("table.numbers-table", null, numbers)));
  let offset = 0, timer = 0, over = false, stats = [];

  const cell = name => h("td", { "data-name": name });
  const make = peer => {
    const n = name => h("td.n", { "data-name": name }, h("span.rate"));
    const row = h("tr", null, h("td.mono.break", { "data-name": "Name" }, peer.name.slice(peer.scheme.length + 1) || "(no name)"), h("td", { "data-name": "Protocol" }, chip(peer.scheme, "scheme-" + peer.scheme.replace(/\W/g, ""))),
      cell("User"), h("td.mono", { "data-name": "Address" }), cell("Since"), h("td.n", { "data-name": "Watches" }), n("In"), n("Out"), h("td", null, spark()));
    row.past = [];
    return row;
  };
  const update = (row, peer) => {
    const now = performance.now(), c = row.children;
    c[2].textContent = peer.user ?? "–";
    c[3].textContent = peer.away ? "away" : peer.address ?? "–";
    row.classList.toggle("away", !!peer.away);
    c[4].textContent = ago(peer.since).replace(" ago", "");
    c[4].title = moment(peer.since);
    c[5].textContent = count(peer.watches);
    c[6].title = peer.in + " messages and questions from it";
    c[7].title = peer.out + " messages to it";
    if (row.seen) {
      const per = what => Math.max(0, (peer[what] - row.seen[what]) / (now - row.seen.at) * 1000);
      c[6].firstChild.textContent = rate(per("in")) + "/s";
      c[7].firstChild.textContent = rate(per("out")) + "/s";
      row.past.push(per("in") + per("out"));
      if (row.past.length > 30) row.past.shift();
      c[8].firstChild.draw(row.past);
    } else { c[6].firstChild.textContent = count(peer.in); c[7].firstChild.textContent = count(peer.out); }
    row.seen = { at: now, in: peer.in, out: peer.out };
  };

  const makePort = port => h("div.card.port", null, h("div.row.head", null, chip(port.uplink ? "uplink" : "listens"), h("span.state")), h("div.mono.break", null, port.url), h("div.dim", null, port.summary), h("div.dim.counts"));
  const updatePort = (card, port) => {
    const state = card.querySelector(".state"), counts = [port.uplink ? null : `${count(port.peers)} connected over ${port.scheme}`, port.sent === undefined ? null : `${count(port.sent)} sent`,
      port.received === undefined ? null : `${count(port.received)} received`, port.waiting ? `${count(port.waiting)} waiting` : null];
    state.textContent = port.closing ? "closing" : port.up === undefined ? "open" : port.up ? "up" : "down";
    state.className = "state pill " + (port.closing || port.up === false ? "off" : "on");
    card.querySelector(".counts").textContent = counts.filter(Boolean).join(" · ");
  };

  function paintNumbers() {
    const wanted = find.value.toLowerCase();
    rows(numbers, stats.filter(s => (s.name + s.labels).toLowerCase().includes(wanted)), s => s.name + s.labels,
      s => h("tr", null, h("td.mono.break", null, s.name, s.labels ? h("span.dim", null, " " + s.labels) : ""), h("td.n.mono")),
      (row, s) => { row.children[1].textContent = String(s.value); });
  }

  function turn(said) {
    const last = Math.min(offset + PAGE, said.total);
    pager.replaceChildren(...(said.total > PAGE ? [h("span.dim", null, `${offset + 1}–${last} of ${count(said.total)}`),
      h("button", { disabled: !offset, onclick: () => { offset = Math.max(0, offset - PAGE); look(); } }, "newer"),
      h("button", { disabled: last >= said.total, onclick: () => { offset += PAGE; look(); } }, "older")] : []));
  }

  async function look() {
    clearTimeout(timer);
    if (!document.hidden) try {
      const [said, ports] = await Promise.all([json(`/api/peers?limit=${PAGE}&offset=${offset}&q=${encodeURIComponent(filter.value)}`), json("/api/ports?limit=200")]);
      if (over) return;
      rows(body, said.peers, p => p.number, make, update);
      table.hidden = !said.peers.length;
      none.replaceChildren(said.peers.length ? "" : empty("Nobody fits."));
      total.textContent = `${count(said.total)} connected`;
      turn(said);
      rows(cards, ports.ports, (p => p.url + p.uplink), makePort, updatePort);
      if (all.open) { stats = await json("/api/stats"); paintNumbers(); }
    } catch (e) { if (!over) { table.hidden = true; none.replaceChildren(empty("Not to be seen.", e.message)); } }
    if (!over) timer = setTimeout(look, 2000);
  }
  filter.addEventListener("input", later(() => { offset = 0; look(); }, 150));
  all.addEventListener("toggle", look);
  root.replaceChildren(h("div.stack", null, cards,
    h("section.card", null, h("div.row.head", null, h("h2", null, "Connected"), total, filter), none, h("div.scroll", null, table), pager), all));
  look();
  return { end() { over = true; clearTimeout(timer); } };
}
