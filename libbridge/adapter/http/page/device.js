/* One LwM2M device: its objects under their names, read, written, executed and observed by hand; its firmware. */
import { ask, json, target, valueOf, watch } from "./api.js";
import { nameOf } from "./devices.js";
import { firmware } from "./firmware.js";
import { chip, confirm, dialog, duration, empty, h, icon, moment, note, show } from "./ui.js";

const MOST_OBSERVED = 3; /* streams at once: browsers have few connections to one server */

/* "</>;rt="oma.lwm2m",</3/0>,</3303/0>" -> Map of object -> instances */
function objectsOf(links) {
  const found = new Map(), root = /<(\/[^>]*)>[^,]*rt="?oma\.lwm2m/.exec(links ?? "")?.[1] ?? "";
  for (const [, path] of (links ?? "").matchAll(/<([^>]*)>/g)) {
    const m = /^\/?(\d+)(?:\/(\d+))?$/.exec(root.length > 1 && path.startsWith(root) ? path.slice(root.length) : path);
    if (!m) continue;
    if (!found.has(m[1])) found.set(m[1], []);
    if (m[2] !== undefined && !found.get(m[1]).includes(m[2])) found.get(m[1]).push(m[2]);
  }
  return new Map([...found].sort((a, b) => a[0] - b[0]));
}

const words = v => v === undefined ? "–" : v && typeof v === "object" && "bytes" in v ? v.bytes : show(v);

export function device(root, mount, about, back) {
  const base = `${mount}/${nameOf(about.ep)}`, cells = new Map(), streams = new Map(), list = h("div.objects");
  let model = {}, over = false;

  const put = (path, value, when) => {
    const cell = cells.get(path);
    if (cell) {
      cell.value.textContent = words(value);
      cell.value.classList.remove("fresh");
      void cell.value.offsetWidth; /* the mark begins again */
      cell.value.classList.add("fresh");
      cell.when.textContent = when ?? "";
    } else if (value && typeof value === "object" && !("bytes" in value)) for (const [key, one] of Object.entries(value)) put(path + "/" + key, one, when);
  };

  async function read(path) {
    try { put(path, await (await ask(target(base + path), { headers: { Accept: "application/json, text/plain;q=0.9, */*;q=0.1" } })).text().then(t => { try { return JSON.parse(t); } catch { return t; } }), ""); return true; } catch (e) { note(`${path}: ${e.message}`, true); return false; }
  }
  async function write(path, resource, cell) {
    const field = resource?.type === "boolean" ? h("select", null, h("option", null, "true"), h("option", null, "false")) : h("input.mono.wide", { value: cell.value.textContent === "–" ? "" : cell.value.textContent, "aria-label": "value" });
    if (field.tagName === "SELECT") field.value = cell.value.textContent === "true" ? "false" : "true";
    const said = await dialog(`Write ${resource?.name ?? path}`, h("div.fields", null, h("label", null, `${path}${resource?.unit ? ", in " + resource.unit : ""}`, field)), [["", "Cancel"], ["yes", "Write", "main"]]);
    if (said !== "yes") return;
    try {
      await ask(target(base + path), { method: "PUT", body: field.value, headers: { "Content-Type": "text/plain" } });
      note(`${path} is written.`);
      if (!resource || resource.operations.includes("R")) read(path);
    } catch (e) { note(`${path}: ${e.message}`, true); }
  }
  async function execute(path, resource) {
    const field = h("input.mono.wide", { placeholder: "none", "aria-label": "arguments" });
    const said = await dialog(`Execute ${resource?.name ?? path}?`, h("div.fields", null, h("p", null, `${about.ep} does what ${path} stands for.`), h("label", null, "Arguments", field)), [["", "Cancel"], ["yes", "Execute", "danger"]]);
    if (said !== "yes") return;
    try { await ask(target(base + path), { method: "POST", body: field.value, headers: { "Content-Type": "text/plain" } }); note(`${path} is executed.`); } catch (e) { note(`${path}: ${e.message}`, true); }
  }

  function row(path, id, resource) {
    const can = resource?.operations ?? "RWE", cell = { value: h("span.mono.value", null, can.includes("R") ? "–" : ""), when: h("span.dim.small") };
    cells.set(path, cell);
    return h("tr", { "data-path": path }, h("td", { "data-name": "" }, h("span", null, resource?.name ?? "Resource " + id), h("span.dim.mono.id", null, path)),
      h("td", null, cell.value, resource?.unit ? h("span.dim", null, " " + resource.unit) : "", cell.when),
      h("td.acts", null, can.includes("R") ? h("button.small", { onclick: () => read(path) }, "Read") : "", can.includes("W") ? h("button.small", { onclick: () => write(path, resource, cell) }, "Write") : "",
        can.includes("E") ? h("button.small", { onclick: () => execute(path, resource) }, "Execute") : ""));
  }

  function observe(path, button) {
    if (streams.has(path)) {
      streams.get(path).close();
      streams.delete(path);
      button.setAttribute("aria-pressed", "false");
      return;
    }
    if (streams.size >= MOST_OBSERVED) { note(`No more than ${MOST_OBSERVED} instances are observed at once here.`, true); return; }
    button.setAttribute("aria-pressed", "true");
    streams.set(path, watch(`${base}${path}/#`, { event: tell, lost: why => { if (why?.status) { note(`${path}: ${why.message}`, true); streams.delete(path); button.setAttribute("aria-pressed", "false"); } } }));
  }

  function instance(object, number) {
    const path = `/${object}/${number}`, known = model[object]?.resources ?? {}, body = h("tbody");
    for (const id of Object.keys(known)) body.append(row(`${path}/${id}`, id, known[id]));
    const eye = h("button.small.toggle", { "aria-pressed": "false", title: "observe: the device tells each change", onclick: () => observe(path, eye) }, icon("eye"), "Observe");
    const refresh = async () => {
      try {
        const said = await json(target(base + path), { headers: { Accept: "application/json" } });
        for (const [id, value] of Object.entries(said)) {
          if (!cells.has(`${path}/${id}`)) body.append(row(`${path}/${id}`, id, known[id]));
          put(`${path}/${id}`, value, "");
        }
        for (const tr of body.children) tr.hidden = !(tr.dataset.path.slice(path.length + 1) in said) && !all.checked && !(known[tr.dataset.path.slice(path.length + 1)]?.operations ?? "").includes("E");
      } catch (e) { note(`${path}: ${e.message}`, true); }
    };
    const all = h("input", { type: "checkbox", onchange: () => { for (const tr of body.children) tr.hidden = false; if (!all.checked) refresh(); } });
    const remove = async () => {
      if (!await confirm("Delete this instance?", `${path} of ${about.ep} is deleted on the device.`, "Delete")) return;
      try { await ask(target(base + path), { method: "DELETE" }); note(`${path} is deleted.`); } catch (e) { note(`${path}: ${e.message}`, true); }
    };
    return { element: h("div.instance", null, h("div.row.head", null, h("b.mono", null, path), eye, h("button.small", { onclick: refresh }, "Read all"),
      h("label.small", null, all, "all resources"), model[object]?.multiple ? h("button.small.plain.danger", { onclick: remove, "aria-label": "delete the instance" }, icon("trash")) : ""), h("div.scroll", null, h("table.resources", null, body))), refresh };
  }

  function objectCard(object, numbers) {
    const inside = numbers.map(n => instance(object, n));
    let read = false;
    const card = h("details.card.object", { ontoggle: () => { if (card.open && !read) { read = true; for (const one of inside) one.refresh(); } } },
      h("summary", null, h("h3", null, model[object]?.name ?? "Object " + object), h("span.dim.mono", null, "/" + object), numbers.length !== 1 ? chip(`${numbers.length} instances`) : ""), inside.map(i => i.element));
    return card;
  }

  const flash = objectsOf(about.links).has("5") ? firmware(base, about) : null;
  function tell(event) {
    if (!event.path.startsWith(base + "/")) return;
    const path = event.path.slice(base.length);
    if (path === "/!firmware" && flash) flash.tell(event.value);
    else if (path.startsWith("/!")) events.prepend(h("li", null, h("b", null, path.slice(2)), " ", moment(event.time ?? Date.now())));
    else put(path, valueOf(event), "now");
    while (events.childElementCount > 20) events.lastChild.remove();
  }
  const events = h("ul.sentences"), hears = watch(base + "/#", { event: tell });
  const behind = h("div");
  const lives = about.lt ? `registered for ${duration(about.lt * 1000)}` : "";

  async function begin() {
    const objects = objectsOf(about.links);
    try { model = await json(`${target(mount)}/?model=${[...objects.keys()].join(",")}`); } catch { /* numbers do */ }
    if (over) return;
    list.replaceChildren(...[...objects].map(([object, numbers]) => objectCard(object, numbers)));
    if (!objects.size) list.append(empty("It named no objects."));
    if (objects.has("25")) {
      const all = await json(`${target(mount)}/?limit=500`).catch(() => ({ devices: [] })), there = all.devices.filter(d => d.gateway === about.ep);
      behind.replaceChildren(h("div.card", null, h("h3", null, "Behind this gateway"), there.length ? h("div.chips", null, there.map(d => h("a.chip", { href: "#/devices/" + encodeURIComponent(d.ep) }, d.ep))) : h("span.dim", null, "nobody")));
    }
  }
  root.replaceChildren(h("div.head", null, back, h("h2.mono", null, about.ep), chip("LwM2M " + about.lwm2m), about.queue ? chip(about.asleep ? "asleep" : "queue mode") : "", about.b ? chip("binding " + about.b) : ""),
    h("div.card", null, h("dl", null, h("dt", null, "since"), h("dd", null, moment(about.since), lives ? " · " + lives : ""), about.identity ? [h("dt", null, "proved name"), h("dd.mono", null, about.identity)] : "",
      about.gateway ? [h("dt", null, "gateway"), h("dd", null, h("a", { href: "#/devices/" + encodeURIComponent(about.gateway) }, about.gateway))] : "", h("dt", null, "paths"), h("dd.mono", null, base + "/…"))),
    flash ? flash.element : "", behind, list, h("details.card", null, h("summary", null, h("h3", null, "Events")), events));
  begin();
  return { end() { over = true; hears.close(); for (const s of streams.values()) s.close(); } };
}
