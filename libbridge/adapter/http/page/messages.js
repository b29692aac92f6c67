/* Listening and speaking by hand. */
import { Refused, watch } from "./api.js";
import { publishForm } from "./publish.js";
import { chip, clock, count, duration, empty, framed, h, kind, rate, show, size } from "./ui.js";

const KEPT = 500;
const log = { lines: [], total: 0, paused: false, stream: null, pattern: "#", since: 0, rests: 0 };
let redraw = () => {};

function listen(pattern, say) {
  log.stream?.close();
  log.pattern = pattern;
  log.total = 0;
  log.since = Date.now();
  log.rests = 0;
  log.stream = watch(pattern, {
    open() {
      say("listening", "on");
      if (log.rests) log.lines.push({ at: Date.now(), number: log.total + 0.5, away: Date.now() - log.rests });
      log.rests = 0;
      redraw();
    },
    rests() { log.rests ||= Date.now(); say("rests", ""); },
    event(event) {
      log.total++;
      if (log.paused) return redraw();
      log.lines.push({ ...event, at: Date.now(), number: log.total, value: "base64" in event ? "(bytes) " + event.base64 : event.value });
      if (log.lines.length > KEPT) log.lines.splice(0, log.lines.length - KEPT);
      redraw();
    },
    lost(why) {
      if (why instanceof Refused && why.status < 500) { log.stream = null; say(why.message, "off"); redraw(); }
      else say("no connection; trying again", "off");
    },
  }, true);
}

function line(m) {
  if (m.away) return h("div.said-line", null, h("time", null, clock(m.at)), h("span.dim", null, `events of ${duration(m.away)} were not heard: the tab was hidden`));
  return h("div.said-line", null, h("time", null, clock(m.at)), h("span.mono.path", null, m.path),
    m.gone ? chip("removed", "bad") : h("span.mono.value." + kind(m.value), null, m.long ? "(long)" : show(m.value).slice(0, 400)),
    h("span.dim", null, m.gone ? "" : [m.kept ? "kept" : "event", m.qos ? "QoS " + m.qos : "", m.len === undefined ? "" : size(m.len), m.origin ?? ""].filter(Boolean).join(" · ")));
}

export function messages(root) {
  const pattern = h("input.mono.wide", { id: "pattern", value: log.pattern, placeholder: "home/+/temperature", "aria-label": "filter", spellcheck: false, autocapitalize: "off" });
  const go = h("button.main", { id: "listen" }), pause = h("button", { type: "button", id: "pause" }), state = h("span.pill", { role: "status" }), told = h("span.dim");
  const box = h("div.log", { id: "log", tabIndex: 0, "aria-label": "messages" });
  const say = (words, what) => { state.textContent = words; state.className = "pill " + what; };
  let last = 0;

  function draw() {
    go.textContent = log.stream ? "Stop" : "Listen";
    pause.textContent = log.paused ? "Go on" : "Pause";
    pause.disabled = !log.stream;
    told.textContent = log.total ? `${count(log.total)} heard, ${rate(log.total / Math.max(1, (Date.now() - log.since) / 1000))}/s` : "";
    const fresh = log.lines.filter(m => m.number > last || !m.number).slice(-KEPT);
    if (!log.lines.length) box.replaceChildren(empty(log.stream ? "Nothing was said yet." : "Nobody listens.", "A filter is a path with + for one and # for all further names: home/+/temperature, $SYS/#."));
    else {
      if (box.querySelector(".empty")) box.replaceChildren();
      box.prepend(...fresh.map(line).reverse());
      while (box.childElementCount > KEPT) box.lastChild.remove();
    }
    last = log.lines.at(-1)?.number ?? 0;
  }
  redraw = framed(draw);
  const start = e => {
    e.preventDefault();
    if (log.stream && log.pattern === pattern.value) { log.stream.close(); log.stream = null; say("", ""); }
    else { log.paused = false; log.lines = []; last = 0; box.replaceChildren(); say("…", ""); listen(pattern.value || "#", say); }
    redraw();
  };
  pause.onclick = () => { log.paused = !log.paused; redraw(); };
  root.replaceChildren(h("div.two", null,
    h("section.card.tall", null, h("h2", null, "Listen"),
      h("form.row", { onsubmit: start }, pattern, go, pause, h("button", { type: "button", id: "clear", onclick: () => { log.lines = []; box.replaceChildren(); redraw(); } }, "Clear")),
      h("div.row.small", null, state, told), box),
    h("section.card", null, h("h2", null, "Speak"), publishForm(null).element,
      h("p.dim", null, "What is kept is the path's last value: whoever subscribes later gets it (MQTT: retain). An event is told to who listens now. Whoever subscribed with less gets it with less than its QoS."))));
  if (log.stream) say("listening", "on");
  draw();
  return { end() { redraw = () => {}; } };
}
