/* LwM2M devices: who is registered; device.js shows one. */
import { ask, json, target } from "./api.js";
import { device } from "./device.js";
import { chip, count, empty, h, icon, later } from "./ui.js";
import { onEvent } from "./values.js";

const PAGE = 50;
/* What cannot stand in a path is percent-encoded in it. */
export const nameOf = ep => [...new TextEncoder().encode(ep)].map(b => b <= 32 || b === 127 || "/+#{}%!".includes(String.fromCharCode(b)) ? "%" + b.toString(16).toUpperCase().padStart(2, "0") : String.fromCharCode(b)).join("")
  .replace(/[\x80-\xff]+/g, s => new TextDecoder().decode(Uint8Array.from(s, c => c.charCodeAt(0))));

async function findMount() {
  try {
    const port = (await json("/api/ports?limit=1000")).ports.find(p => p.scheme === "lwm2m" && !p.uplink);
    if (port) return port.mount ?? "lwm2m";
  } catch { /* not to be seen: where it mostly is */ }
  return "lwm2m";
}

export function devices(root, chosen) {
  const filter = h("input", { type: "search", id: "filter", placeholder: "Search endpoints", "aria-label": "search devices" });
  const list = h("div.items", { role: "list", id: "devices" }), foot = h("div.foot"), pager = h("div.row.end"), right = h("section.detail"), both = h("div.split");
  const back = h("button.plain.back", { onclick: () => { location.hash = "#/devices"; } }, icon("back"), "devices");
  let mount = "lwm2m", offset = 0, over = false, timer = 0, inner = null, off = null;

  const state = d => d.gateway ? ["behind " + d.gateway, ""] : d.asleep ? ["asleep", ""] : ["awake", "good"];
  async function look() {
    clearTimeout(timer);
    if (!document.hidden) try {
      const said = await json(`${target(mount)}/?limit=${PAGE}&offset=${offset}&q=${encodeURIComponent(filter.value)}`);
      if (over) return;
      list.replaceChildren(...said.devices.map(d => h("a.item" + (d.ep === chosen ? ".chosen" : ""), { href: "#/devices/" + encodeURIComponent(d.ep), role: "listitem" },
        h("b", null, d.ep), h("span.chips", null, chip(...state(d)), chip("LwM2M " + d.lwm2m)))));
      if (!said.devices.length) list.append(filter.value ? empty("No device fits.") : empty("No device is registered.", "Devices register at the listener lwm2m://; simulate one with any LwM2M client."));
      foot.textContent = `${count(said.total)} devices`;
      pager.replaceChildren(...(said.total > PAGE ? [h("button", { disabled: !offset, onclick: () => { offset -= PAGE; look(); } }, "back"),
        h("button", { disabled: offset + PAGE >= said.total, onclick: () => { offset += PAGE; look(); } }, "next")] : []));
    } catch (e) {
      if (!over) list.replaceChildren(e.status === 404 || e.status === 406 ? empty("There is no LwM2M listener.", h("pre", null, "bridged lwm2m://127.0.0.1:5683 …")) : empty("Not to be seen.", e.message));
    }
    if (!over) timer = setTimeout(look, 5000);
  }
  async function open(ep) {
    chosen = ep;
    inner?.end();
    inner = null;
    both.classList.toggle("inside", !!ep);
    for (const item of list.querySelectorAll(".item")) item.classList.toggle("chosen", item.querySelector("b").textContent === ep);
    if (!ep) { right.replaceChildren(empty("Choose a device", "Its objects are read, written, executed and observed here.")); return; }
    right.replaceChildren(empty("…"));
    try {
      const about = await (await ask(target(mount + "/" + nameOf(ep)) + "/")).json();
      if (!over && chosen === ep) inner = device(right, mount, about, back);
    } catch (e) { if (!over && chosen === ep) right.replaceChildren(h("div.head", null, back), empty("This device is not registered.", e.message)); }
  }

  both.append(h("section.side", null, h("div.bar", null, filter), list, pager, foot), right);
  root.replaceChildren(both);
  filter.addEventListener("input", later(() => { offset = 0; look(); }, 150));
  findMount().then(found => {
    mount = found;
    if (over) return;
    off = onEvent(e => { if (e.path.startsWith(mount + "/") && /\/!(registered|deregistered|asleep|awake)$/.test(e.path)) { soon(); if (chosen && e.path === `${mount}/${nameOf(chosen)}/!registered`) open(chosen); } });
    look();
    open(chosen);
  });
  const soon = later(look, 200);
  return { go: open, end() { over = true; off?.(); inner?.end(); clearTimeout(timer); } };
}
