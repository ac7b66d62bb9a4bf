// The dependency graph, to click through. The same edges are also there as a table.

import { h } from "./preact.mjs";
import { address, only, parameters } from "./address.js";
import { get } from "./api.js";
import { NODE, fold } from "./layout.js";
import { AssetLink, Status, Table, counted } from "./parts.js";

const MOST_ASSETS = "500";
const MOST_LISTED = 1000;
const DEPTHS = ["1", "2", "3", "5", "10"];
const MOST_FITTED = 5000;
const PADDING = 12;
const NAME_FONT = "600 14px system-ui, sans-serif";
const FACTS_FONT = "12px system-ui, sans-serif";
const CLICK_PIXELS = 4;
/** @type {Record<string, string>} */
const DIRECTIONS = {
  "": "Both", dependencies: "What it depends on", dependents: "What depends on it",
};

/** @type {Worker | null} */
let worker = null;

export const title = (/** @type {any} */ data) => (data?.root ? `Graph of ${data.root.name}` : "Graph");

/**
 * @param {URLSearchParams} query
 * @param {AbortSignal} signal
 */
export async function load(query, signal) {
  const wanted = only(query, ["root", "depth", "direction"]);
  wanted.set("limit", MOST_ASSETS);
  const { data } = await get("graph", wanted, signal);
  const root = data.nodes.find((/** @type {any} */ { id }) => id === query.get("root")) ?? null;
  const open = new Set([...query.getAll("open"), ...(root ? [root.id] : [])]);
  // Assets without a dependency would be a long column that says nothing.
  const joined = new Set(data.edges.flatMap((/** @type {any} */ { source, target }) => [source, target]));
  const drawn = data.nodes.filter((/** @type {any} */ node) => joined.has(node.id) || node === root);
  const folded = fold(drawn, data.edges, open);
  return { ...data, root, folded, alone: data.nodes.length - drawn.length, picture: await laidOut(folded, signal) };
}

/**
 * @param {{nodes: any[], edges: any[]}} graph
 * @param {AbortSignal} signal
 * @returns {Promise<any>}
 */
function laidOut({ nodes, edges }, signal) {
  worker?.terminate();
  const mine = new Worker(new URL("./layout-worker.js", import.meta.url), { type: "module" });
  worker = mine;
  return new Promise((resolve, reject) => {
    mine.onmessage = ({ data }) => { mine.terminate(); resolve(data); };
    mine.onerror = (event) => reject(new Error(event.message || "the graph could not be laid out"));
    signal.addEventListener("abort", () => { mine.terminate(); reject(signal.reason); });
    mine.postMessage({ nodes: nodes.map(({ id }) => ({ id })), edges });
  });
}

/** @param {{data: any, query: URLSearchParams, ui: any, change: (ui: any) => void, go: (address: string) => void}} properties */
export function View({ data, query, ui, change, go }) {
  const { root, nodes, edges, truncated, alone, folded } = data;
  return [
    root ? h(Root, { root, query, go })
      : h("p", {}, "Choose an asset in the picture to see what is around it."),
    h("p", { role: "status" }, [
      `${counted(nodes.length, "asset")} and ${counted(edges.length, "dependency", "dependencies")}.`,
      " An arrow points from an asset to what it needs.",
      alone > 0 && ` ${counted(alone, "asset")} without dependencies ${alone === 1 ? "is" : "are"} not drawn.`,
      truncated && " The registry has more than that: choose an asset, or fewer steps.",
    ]),
    folded.nodes.length > 0 && h(Picture, { data, query, ui, change }),
    h("details", { onToggle: (/** @type {any} */ event) => change({ list: event.target.open }) }, [
      h("summary", {}, "The same as a list"),
      ui.list && h(List, { nodes, edges }),
    ]),
  ];
}

/** @param {{root: any, query: URLSearchParams, go: (address: string) => void}} properties */
function Root({ root, query, go }) {
  const set = (/** @type {string} */ name) => (/** @type {any} */ event) =>
    go(address("graph", { ...parameters(query), [name]: event.target.value }));
  return h("div", { class: "controls" }, [
    h("span", {}, [h(AssetLink, { asset: root }), " ", h(Status, { status: root.status }), ` ${root.type}`]),
    h("label", {}, ["Steps ", h("select", { onChange: set("depth") }, ["", ...DEPTHS].map((depth) =>
      h("option", { key: depth, value: depth, selected: depth === (query.get("depth") ?? "") },
        depth || "all")))]),
    h("label", {}, ["Direction ", h("select", { onChange: set("direction") },
      Object.entries(DIRECTIONS).map(([value, text]) => h("option", {
        key: value, value, selected: value === (query.get("direction") ?? ""),
      }, text)))]),
    h("a", { href: address("graph") }, "Show all assets"),
  ]);
}

/** @param {{data: any, query: URLSearchParams, ui: any, change: (ui: any) => void}} properties */
function Picture({ data, query, ui, change }) {
  const { picture, folded, root } = data;
  const { width, height, places, lines } = picture;
  // Text smaller than this can't be read; what does not fit is scrolled to.
  const readable = Math.max(0.75, Math.min(1, (document.documentElement.clientWidth - 40) / width));
  const zoom = ui.zoom ?? readable;
  const lit = ui.lit ?? root?.id;
  const by = (/** @type {number} */ factor) => () => change({ zoom: Math.min(3, Math.max(0.1, zoom * factor)) });
  return [
    h("div", { class: "controls" }, [
      h("button", { type: "button", onClick: by(1.25) }, "Larger"),
      h("button", { type: "button", onClick: by(0.8) }, "Smaller"),
      h("button", { type: "button", onClick: () => change({ zoom: null }) }, "Readable size"),
    ]),
    h("div", {
      class: "canvas", tabindex: 0, role: "region", "aria-label": "Picture of the graph, scrollable",
      ...dragging, ref: root ? centred(root.id) : null,
    }, h("svg", {
      width: width * zoom, height: height * zoom, viewBox: `0 0 ${width} ${height}`,
      role: "group", "aria-label": "Dependency graph",
    }, [
      h("defs", {}, h("marker", {
        id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 10, markerHeight: 10, markerUnits: "userSpaceOnUse", orient: "auto",
      }, h("path", { d: "M0 0 L8 4 L0 8 z" }))),
      ...lines.map((/** @type {any} */ line) => h("path", {
        key: `${line.source} ${line.target}`, d: curve(line.points), "marker-end": "url(#arrow)",
        class: line.source === lit || line.target === lit ? "line lit" : "line",
      })),
      ...folded.nodes.map((/** @type {any} */ node) => h(Box, {
        key: node.id, node, place: places.get(node.id), query, isRoot: node.id === root?.id, change,
      })),
    ])),
  ];
}

/** @param {{node: any, place: {x: number, y: number}, query: URLSearchParams, isRoot: boolean, change: (ui: any) => void}} properties */
function Box({ node, place, query, isRoot, change }) {
  const many = node.members.length > 1;
  const name = many ? counted(node.members.length, "asset") : node.name;
  const facts = `${node.type} · ${node.status}`;
  const depth = query.get("depth") ?? "2";
  const href = many ? address("graph", { ...parameters(query), open: [...query.getAll("open"), node.id] })
    : isRoot ? address("asset", { id: node.id }) : address("graph", { root: node.id, depth });
  const light = () => change({ lit: node.id });
  return h("a", {
    href, class: `box ${node.status} ${many ? "many" : ""} ${isRoot ? "root" : ""}`, "data-id": node.id,
    transform: `translate(${place.x - NODE.width / 2} ${place.y - NODE.height / 2})`,
    onFocus: light, onMouseEnter: light,
  }, [
    h("title", {}, `${name} ${facts}`),
    many && h("rect", { x: 5, y: 5, width: NODE.width, height: NODE.height, rx: 6 }),
    h("rect", { width: NODE.width, height: NODE.height, rx: 6 }),
    h("text", {}, [
      h("tspan", { x: NODE.width / 2, y: 18, class: "name" }, fitted(name, NAME_FONT)), " ",
      h("tspan", { x: NODE.width / 2, y: 35 }, fitted(facts, FACTS_FONT)),
    ]),
  ]);
}

const pen = /** @type {CanvasRenderingContext2D} */ (document.createElement("canvas").getContext("2d"));
/** @type {Map<string, string>} */
const fitting = new Map();

/**
 * Cut a text that is wider than a box. By grapheme, so that no letter is cut in two.
 * @param {string} text
 * @param {string} font as in the style sheet
 */
function fitted(text, font) {
  const key = `${font} ${text}`;
  if (fitting.size > MOST_FITTED) fitting.clear();
  const known = fitting.get(key);
  if (known !== undefined) return known;
  pen.font = font;
  const fits = (/** @type {string} */ shown) => pen.measureText(shown).width <= NODE.width - PADDING;
  let shown = text;
  if (!fits(text)) {
    const letters = [...new Intl.Segmenter().segment(text)].map(({ segment }) => segment);
    do letters.pop(); while (letters.length && !fits(`${letters.join("")}…`));
    shown = `${letters.join("")}…`;
  }
  fitting.set(key, shown);
  return shown;
}

/** @param {{x: number, y: number}[]} points */
function curve(points) {
  const [first, ...rest] = points;
  const last = rest.pop() ?? first;
  const middle = rest.map((point, index) => {
    const next = rest[index + 1] ?? last;
    return `Q${point.x} ${point.y} ${(point.x + next.x) / 2} ${(point.y + next.y) / 2}`;
  });
  return `M${first.x} ${first.y} ${middle.join(" ")} L${last.x} ${last.y}`;
}

let centredOn = "";

/**
 * Scroll to the root, once for each.
 * @param {string} id
 */
const centred = (id) => (/** @type {HTMLElement | null} */ canvas) => {
  const box = canvas?.querySelector(`[data-id="${CSS.escape(id)}"]`);
  if (!canvas || !box || centredOn === id) return;
  centredOn = id;
  const [outer, inner] = [canvas.getBoundingClientRect(), box.getBoundingClientRect()];
  canvas.scrollLeft += inner.left + inner.width / 2 - outer.left - outer.width / 2;
  canvas.scrollTop += inner.top + inner.height / 2 - outer.top - outer.height / 2;
};

/** @type {{x: number, y: number, moved: number} | null} */
let drag = null;

// A mouse drags the picture; fingers scroll it without help.
const dragging = {
  onPointerDown: (/** @type {PointerEvent} */ event) => {
    if (event.pointerType === "mouse" && event.button === 0) drag = { x: event.clientX, y: event.clientY, moved: 0 };
  },
  onPointerMove: (/** @type {any} */ event) => {
    if (!drag || !(event.buttons & 1)) return;
    const [x, y] = [event.clientX - drag.x, event.clientY - drag.y];
    event.currentTarget.scrollBy(-x, -y);
    drag = { x: event.clientX, y: event.clientY, moved: drag.moved + Math.abs(x) + Math.abs(y) };
  },
  onDragStart: (/** @type {Event} */ event) => event.preventDefault(),
  onClickCapture: (/** @type {Event} */ event) => {
    if (drag && drag.moved > CLICK_PIXELS) event.preventDefault();
    drag = null;
  },
};

/** @param {{nodes: any[], edges: any[]}} properties */
function List({ nodes, edges }) {
  const named = new Map(nodes.map((node) => [node.id, node]));
  return [
    edges.length > MOST_LISTED && h("p", {}, `The first ${MOST_LISTED} of them.`),
    h(Table, {
      label: "Dependencies",
      columns: ["Asset", "depends on"],
      rows: edges.slice(0, MOST_LISTED).map(({ source, target }) => h("tr", { key: `${source} ${target}` }, [
        h("th", { scope: "row" }, h(AssetLink, { asset: named.get(source) })),
        h("td", {}, h(AssetLink, { asset: named.get(target) })),
      ])),
      empty: "There are no dependencies.",
    }),
  ];
}
