/* Lines: a chart with its scale, and sparklines. */
import { clock, h, moment, svg } from "./ui.js";

const W = 600, H = 160, LEFT = 46, BOTTOM = 20, TOP = 8;

function nice(low, high) { /* about four round steps */
  const span = high - low || Math.abs(high) || 1, power = 10 ** Math.floor(Math.log10(span / 4)), step = [1, 2, 5, 10].find(n => n * power >= span / 4) * power;
  const marks = [];
  for (let y = Math.floor(low / step) * step; y < high + step; y += step) marks.push(Number(y.toPrecision(12)));
  return marks;
}
const label = y => Math.abs(y) >= 10000 || (y && Math.abs(y) < 0.001) ? y.toExponential(1) : String(Number(y.toPrecision(6)));

/* A chart of [time, value] pairs, as wide as what it is in. */
export function chart() {
  const picture = svg("svg", { viewBox: `0 0 ${W} ${H}`, class: "chart", role: "img" }), words = h("div.scale", { role: "note" });
  let drawn = null;

  function draw(points) {
    const ys = points.map(p => p[1]), low = Math.min(...ys), high = Math.max(...ys);
    const marks = nice(low, high), bottom = marks[0], top = marks.at(-1), from = points[0][0], span = points.at(-1)[0] - from || 1;
    const x = t => LEFT + (t - from) / span * (W - LEFT - 6), y = v => TOP + (top - v) / (top - bottom || 1) * (H - TOP - BOTTOM);
    const line = points.map(([t, v]) => `${x(t).toFixed(1)},${y(v).toFixed(1)}`).join("L");
    const long = span > 20 * 3600 * 1000, time = t => long ? new Date(t).toLocaleDateString([], { month: "short", day: "numeric" }) + " " + clock(t).slice(0, 5) : clock(t);
    drawn = { points, x, y, time };
    picture.replaceChildren(
      ...marks.map(v => svg("line", { x1: LEFT, x2: W - 6, y1: y(v), y2: y(v), class: "grid" })),
      ...marks.map(v => { const t = svg("text", { x: LEFT - 6, y: y(v) + 4, "text-anchor": "end" }); t.textContent = label(v); return t; }),
      ...[0, 0.5, 1].map(f => { const t = svg("text", { x: x(from + span * f), y: H - 4, "text-anchor": f === 0 ? "start" : f === 1 ? "end" : "middle" }); t.textContent = time(from + span * f); return t; }),
      svg("path", { d: `M${x(from)},${y(bottom)}L${line}L${x(from + span)},${y(bottom)}Z`, class: "area" }), svg("path", { d: "M" + line, class: "line" }),
      svg("circle", { cx: x(points.at(-1)[0]), cy: y(ys.at(-1)), r: 3, class: "dot" }));
    picture.setAttribute("aria-label", `${points.length} values from ${label(low)} to ${label(high)}`);
    words.textContent = `min ${label(low)} · mean ${label(Number((ys.reduce((a, b) => a + b, 0) / ys.length).toPrecision(4)))} · max ${label(high)} · ${points.length} values`;
  }
  picture.addEventListener("pointermove", e => {
    if (!drawn) return;
    const box = picture.getBoundingClientRect(), at = (e.clientX - box.left) / box.width * W;
    let best = drawn.points[0];
    for (const p of drawn.points) if (Math.abs(drawn.x(p[0]) - at) < Math.abs(drawn.x(best[0]) - at)) best = p;
    picture.querySelector(".dot").setAttribute("cx", drawn.x(best[0]));
    picture.querySelector(".dot").setAttribute("cy", drawn.y(best[1]));
    words.textContent = `${label(best[1])} at ${moment(best[0])}`;
  });
  picture.addEventListener("pointerleave", () => { if (drawn) draw(drawn.points); });
  return {
    element: h("div.plot", null, picture, words),
    draw(points) { if (points.length > 1) draw(points); else { drawn = null; picture.replaceChildren(); words.textContent = ""; } },
  };
}

export function spark(width = 76, height = 20) {
  const path = svg("path", { class: "line" }), area = svg("path", { class: "area" }), picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "spark", "aria-hidden": "true" }, area, path);
  picture.style.width = width + "px";
  picture.style.height = height + "px";
  picture.draw = (values, most = 30) => {
    if (values.length < 2) return;
    const top = Math.max(...values, 1e-9), step = width / (most - 1), from = most - values.length;
    const line = values.map((v, i) => `${((from + i) * step).toFixed(1)},${(height - 2 - v / top * (height - 4)).toFixed(1)}`).join("L");
    path.setAttribute("d", "M" + line);
    area.setAttribute("d", `M${(from * step).toFixed(1)},${height}L${line}L${width},${height}Z`);
  };
  return picture;
}
