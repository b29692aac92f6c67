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

/* Resolves when the page is seen. */
const seen = () => new Promise(done => {
  const look = () => { if (!document.hidden) { document.removeEventListener("visibilitychange", look); done(); } };
  document.addEventListener("visibilitychange", look);
  look();
});

/* Watches a pattern until close(): on.open(), on.event({path, value, ..., gone}), on.lost(why).  Comes back by itself, with resume only for
 * what it has not told.  A page that is not seen rests, on.rests(): over HTTP/1.1 a browser has six connections for all tabs of a host. */
export function watch(pattern, on, resume = false) {
  let link = null, over = false, wait = 500, last = "";

  async function once() {
    link = new AbortController();
    const headers = { Accept: "text/event-stream", ...(resume && last ? { "Last-Event-ID": last } : {}) };
    const r = await raw(target(pattern) + "?observe&about", { signal: link.signal, headers });
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
        last = event.id ?? last;
        if (event.data) on.event({ ...JSON.parse(event.data), version: event.id, gone: event.type === "gone" });
      }
    }
  }

  const hide = () => { if (document.hidden) link?.abort(); };
  document.addEventListener("visibilitychange", hide);
  (async () => {
    for (await seen(); !over; await seen()) {
      let why = null;
      try { await once(); } catch (e) { why = e; }
      if (over) return;
      if (document.hidden) { on.rests?.(); continue; }
      on.lost?.(why);
      if (why instanceof Refused && why.status < 500 && why.status !== 429) break;
      await new Promise(done => setTimeout(done, wait));
      wait = Math.min(wait * 2, 10000);
    }
    document.removeEventListener("visibilitychange", hide);
  })();
  return { pattern, close() { over = true; link?.abort(); document.removeEventListener("visibilitychange", hide); } };
}

/* The value of an event for people: bytes are an object that says so. */
export function valueOf(event) {
  if ("base64" in event) return { bytes: event.base64 };
  return event.value;
}
