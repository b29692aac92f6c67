/* Talking to the bridge: requests, and streams of events (HTML 9.2, read with fetch() so that they carry a login). */
import { dialog, h } from "./ui.js";

export const here = { mount: "/resources", name: "", user: null, version: "", login: null, credentials: "omit" };
try { here.login = sessionStorage.getItem("login"); } catch { /* not allowed: as long as the page */ }

const escapeSegment = s => s === "." ? "%2E" : s === ".." ? "%2E%2E" : encodeURIComponent(s);
export const target = name => here.mount + "/" + name.split("/").map(escapeSegment).join("/");

function options(more = {}) {
  const headers = { ...more.headers };
  if (here.login) headers.Authorization = here.login;
  return { cache: "no-store", credentials: here.credentials, ...more, headers };
}

export class Refused extends Error {
  constructor(status, words) { super(words || "status " + status); this.status = status; }
}

/* The answer, whatever its status. */
export const raw = (url, more) => fetch(url, options(more));

export async function ask(url, more) {
  const r = await raw(url, more);
  if (r.ok) return r;
  const said = await r.json().catch(() => ({}));
  throw new Refused(r.status, said.detail || said.title || r.statusText);
}
export const json = async (url, more) => (await ask(url, more)).json();

/* ---- who am I? */
export async function meet() {
  try {
    Object.assign(here, await json("/api/me"));
  } catch (e) {
    if (e instanceof Refused || here.credentials !== "omit") throw e;
    here.credentials = "same-origin"; /* a listener that wants a client certificate */
    Object.assign(here, await json("/api/me"));
  }
}

let asking = null;
export function login(why) {
  asking ??= (async () => {
    const user = h("input", { name: "user", autocomplete: "username", required: true, value: here.user ?? "" });
    const secret = h("input", { name: "password", type: "password", autocomplete: "current-password" });
    const said = await dialog("Log in", h("div.fields", null, why ? h("p", null, why) : null, h("label", null, "Name", user), h("label", null, "Password", secret)),
      [["", "Cancel"], ["yes", "Log in", "main"]]);
    if (said !== "yes" || !user.value) return false;
    const bytes = new TextEncoder().encode(user.value + ":" + secret.value);
    here.login = "Basic " + btoa(String.fromCharCode(...bytes));
    try { sessionStorage.setItem("login", here.login); } catch { /* as above */ }
    return true;
  })().finally(() => { asking = null; });
  return asking;
}
export function logout() {
  here.login = here.user = null;
  try { sessionStorage.removeItem("login"); } catch { /* as above */ }
}

/* ---- streams */
function parse(block) {
  const event = { type: "message", data: "" };
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":"), field = colon < 0 ? line : line.slice(0, colon), value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") event.type = value;
    else if (field === "data") event.data += (event.data ? "\n" : "") + value;
    else if (field === "id") event.id = value;
  }
  return event;
}

/* Watches a pattern until close(): on.open(), on.event({path, value, ..., gone}), on.lost(why).  Comes back by itself. */
export function watch(pattern, on) {
  const stop = new AbortController();
  let wait = 500;

  async function once() {
    const r = await raw(target(pattern) + "?observe&about", { signal: stop.signal, headers: { Accept: "text/event-stream" } });
    if (!r.ok) throw new Refused(r.status, (await r.json().catch(() => ({}))).detail);
    on.open?.();
    wait = 500;
    const reader = r.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = ""; ;) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const event = parse(block);
        if (event.data) on.event({ ...JSON.parse(event.data), version: event.id, gone: event.type === "gone" });
      }
    }
  }

  (async () => {
    while (!stop.signal.aborted) {
      let why = null;
      try { await once(); } catch (e) { why = e; }
      if (stop.signal.aborted) return;
      on.lost?.(why);
      if (why instanceof Refused && why.status < 500 && why.status !== 429) return;
      await new Promise(done => setTimeout(done, wait));
      wait = Math.min(wait * 2, 10000);
    }
  })();
  return { pattern, close: () => stop.abort() };
}

/* The value of an event for people: bytes are an object that says so. */
export function valueOf(event) {
  if ("base64" in event) return { bytes: event.base64 };
  return event.value;
}
