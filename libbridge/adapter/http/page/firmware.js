/* A firmware update by hand: a file or a URL, and how it goes on (docs/lwm2m.md). */
import { ask, target } from "./api.js";
import { chip, h, note, size } from "./ui.js";

const STEPS = ["looking", "resetting", "sending", "downloading", "triggering", "updating", "updated"];
const RESULTS = ["initial", "updated", "not enough flash memory", "out of RAM", "connection lost", "integrity check failed", "unsupported package type", "invalid URI", "update failed", "unsupported protocol"];

export function firmware(base) {
  const file = h("input", { type: "file", id: "package", "aria-label": "package" }), uri = h("input.mono.wide", { id: "uri", type: "url", placeholder: "or coaps://files.example/fw.bin", "aria-label": "URL of a package" });
  const pull = h("input", { type: "checkbox" }), state = h("span.chips", { role: "status", id: "firmware" }), bar = h("progress", { max: STEPS.length, value: 0, hidden: true, "aria-label": "progress" });
  const stop = h("button", { type: "button", hidden: true, onclick: () => act("!cancel-update", "") }, "Give up");

  async function act(verb, body, type, query = "") {
    try { await ask(target(`${base}/${verb}`) + query, { method: "POST", body, headers: type ? { "Content-Type": type } : {} }); return true; } catch (e) { note(e.message, true); return false; }
  }
  async function start(e) {
    e.preventDefault();
    const chosen = file.files[0];
    if (!chosen && !uri.value) { note("Choose a file, or say where the package is.", true); return; }
    const begun = chosen ? await act("!update-firmware", chosen, "application/octet-stream", pull.checked ? "?method=pull" : "")
      : await act("!update-firmware", JSON.stringify({ uri: uri.value }), "application/json");
    if (begun) note(chosen ? `${chosen.name}, ${size(chosen.size)}: the update has begun.` : "The update has begun.");
  }
  return {
    element: h("form.card", { onsubmit: start }, h("div.row.head", null, h("h3", null, "Firmware"), state), bar,
      h("div.row", null, file, uri), h("div.row", null, h("button.main", { id: "flash" }, "Update"), h("label", { title: "the device gets a URL of ours instead of blocks" }, pull, "let the device fetch it"), stop)),
    tell(said) {
      const step = said?.firmware, over = step === "updated" || step === "failed";
      if (!step) return;
      bar.hidden = step === "failed";
      bar.value = Math.max(1, STEPS.indexOf(step) + 1);
      stop.hidden = over;
      state.replaceChildren(chip(step, step === "failed" ? "bad" : over ? "good" : ""), said.why ? h("span.dim", null, said.why) : said.result > 1 ? h("span.dim", null, RESULTS[said.result] ?? "") : "");
    },
  };
}
