/* What the page knows of the paths: a tree with bounds, and the rows of it that are to be seen. */
import { number, show } from "./ui.js";

export const MOST_PATHS = 20000; /* above, further names are counted only */
const POINTS = 400, SERIES = 500, OPEN_UP_TO = 40;

const BY_NAME = new Intl.Collator(undefined, { numeric: true });

class Node {
  constructor(name, segment, parent) {
    Object.assign(this, { name, segment, parent, children: null, sorted: null, leaves: 0, value: null, open: null });
  }
  get depth() { let n = 0; for (let p = this.parent; p?.parent; p = p.parent) n++; return n; }
  child(segment) {
    this.children ??= new Map();
    let node = this.children.get(segment);
    if (!node) {
      node = new Node(this.parent ? this.name + "/" + segment : segment, segment, this);
      this.children.set(segment, node);
      this.sorted = null;
    }
    return node;
  }
  inOrder() {
    return this.sorted ??= [...this.children.values()].sort((a, b) => BY_NAME.compare(a.segment, b.segment));
  }
}

export class Tree {
  constructor() {
    this.series = new Map(); /* path -> [[time, number]], the least changed go first */
    this.opened = new Map(); /* name of a branch -> open or not, as its reader wants it */
    this.clear();
  }

  /* All is told anew; lines and open branches stay. */
  clear() {
    this.root = new Node("", "", null);
    this.byPath = new Map();
    this.beyond = 0;
  }

  /* True: rows came or went, not only a value. */
  take(event, now = Date.now()) {
    const known = this.byPath.get(event.path);
    if (event.gone) return known ? this.remove(known) : false;
    if (!known && this.byPath.size >= MOST_PATHS) { this.beyond++; return true; }
    const node = known ?? this.add(event.path);
    const value = "base64" in event ? "(bytes) " + event.base64 : event.value;
    node.value = { ...event, value, seen: now, words: event.long ? "(long)" : show(value).slice(0, 300) };
    const n = number(value);
    if (n !== null) this.remember(event.path, event.time ?? now, n);
    return !known;
  }

  add(path) {
    let node = this.root;
    for (const segment of path.split("/")) node = node.child(segment);
    for (let n = node; n; n = n.parent) n.leaves++;
    this.byPath.set(path, node);
    return node;
  }

  remove(node) {
    this.byPath.delete(node.name);
    node.value = null;
    for (let n = node; n; n = n.parent) n.leaves--;
    for (let n = node; n.parent && !n.leaves; n = n.parent) {
      n.parent.children.delete(n.segment);
      n.parent.sorted = null;
    }
    return true;
  }

  remember(path, time, n) {
    const points = this.series.get(path) ?? [];
    this.series.delete(path);
    this.series.set(path, points);
    if (points.length && points.at(-1)[0] >= time) {
      if (points.at(-1)[1] === n) return; /* told again */
      time = points.at(-1)[0] + 1;
    }
    points.push([time, n]);
    if (points.length > POINTS) points.shift();
    if (this.series.size > SERIES) this.series.delete(this.series.keys().next().value);
  }

  /* A branch is first seen open when not too much is in it; then as its reader wants it. */
  isOpen(node) {
    return node.open ??= this.opened.get(node.name) ?? node.leaves <= OPEN_UP_TO;
  }
  open(node, yes) {
    node.open = yes;
    this.opened.set(node.name, yes);
  }

  rows(wanted) {
    const out = [];
    wanted = wanted.toLowerCase();
    const fits = node => node.value && (node.name.toLowerCase().includes(wanted) || node.value.words.toLowerCase().includes(wanted));
    const walk = (node, depth, all) => {
      for (const child of node.inOrder()) {
        const at = out.length;
        const here = all || !wanted || fits(child);
        out.push({ node: child, depth, parents: !!child.children?.size });
        if (child.children?.size && (wanted ? true : this.isOpen(child))) walk(child, depth + 1, false);
        if (wanted && !here && out.length === at + 1) out.pop();
      }
    };
    if (this.root.children) walk(this.root, 0, false);
    return out;
  }
}
