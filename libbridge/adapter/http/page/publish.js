/* Saying something by hand: a form, used for one path and for any. */
import { ask, target } from "./api.js";
import { confirm, h, icon, note } from "./ui.js";

const TYPES = [["", "as it looks"], ["text/plain", "text"], ["application/json", "JSON"], ["application/senml+json", "SenML JSON"],
  ["application/cbor", "CBOR (hex)"], ["application/octet-stream", "bytes (hex)"]];

function bytesOf(type, words) {
  if (type !== "application/cbor" && type !== "application/octet-stream") return new TextEncoder().encode(words);
  const digits = words.replace(/\s/g, "");
  if (!/^([0-9a-fA-F]{2})*$/.test(digits)) throw new Error("Hex digits are wanted, two for each byte.");
  return Uint8Array.from(digits.match(/../g) ?? [], d => parseInt(d, 16));
}

export async function remove(path) {
  if (!await confirm("Delete this value?", `${path} is removed for everybody, over every protocol.`, "Delete")) return false;
  try {
    await ask(target(path), { method: "DELETE" });
    note("Deleted.");
    return true;
  } catch (e) { note(e.message, true); return false; }
}

/* fixed: the path, or null when it is to be typed. */
export function publishForm(fixed) {
  const path = fixed === null ? h("input.mono.wide", { id: "to", placeholder: "home/kitchen/lamp", "aria-label": "path", required: true, spellcheck: false, autocapitalize: "off" }) : null;
  const payload = h("textarea.mono", { id: "payload", rows: 2, placeholder: "value", "aria-label": "value", spellcheck: false });
  const type = h("select", { id: "type", "aria-label": "format" }, TYPES.map(([value, words]) => h("option", { value }, words)));
  const ttl = h("input.short", { id: "ttl", type: "number", min: 1, placeholder: "never", "aria-label": "expires after, in seconds" });
  const kept = h("input", { type: "checkbox", id: "keep", checked: true });
  const qos = h("select", { id: "qos", "aria-label": "quality of service" }, ["0, at most once", "1, at least once", "2, exactly once"].map((words, n) => h("option", { value: n, selected: n === 1 }, words)));
  const said = h("span.said", { id: "said", role: "status" });

  async function send(e) {
    e.preventDefault();
    const name = fixed ?? path.value, headers = { "Bridge-QoS": qos.value };
    if (!name) return;
    said.className = "said";
    said.textContent = "";
    if (type.value) headers["Content-Type"] = type.value;
    if (ttl.value) headers["Cache-Control"] = "max-age=" + ttl.value;
    try {
      const r = await ask(target(name), { method: kept.checked ? "PUT" : "POST", body: bytesOf(type.value, payload.value), headers });
      const answer = r.status === 200 ? (await r.text()).slice(0, 200) : "";
      said.textContent = { 200: "answered" + (answer ? ": " + answer : ""), 201: "created", 202: "taken; nobody listens", 204: "done" }[r.status] ?? "status " + r.status;
    } catch (wrong) {
      said.textContent = wrong.message;
      said.classList.add("bad");
    }
  }
  payload.addEventListener("keydown", e => { if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) form.requestSubmit(); });
  const form = h("form.publish", { onsubmit: send }, path, payload,
    h("div.row", null,
      h("label", { title: "PUT: kept as the last value, as MQTT's retain. Not ticked: POST, an event." }, kept, "keep as last value (retain)"),
      h("label", null, "QoS", qos), h("label", null, "as", type), h("label", null, "expires after", ttl, "s")),
    h("div.row", null, h("button.main", { id: "send", title: "Ctrl+Enter" }, "Publish"),
      fixed === null ? null : h("button.danger.plain", { type: "button", id: "remove", onclick: () => remove(fixed) }, icon("trash"), "Delete"), said));
  return { element: form, path, payload };
}
