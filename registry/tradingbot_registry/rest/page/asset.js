// The page of one asset: its facts, its edges and its history, which outlives it.

import { h } from "./preact.mjs";
import { address, parameters } from "./address.js";
import { ApiError, get } from "./api.js";
import { AssetLink, Status, Table, Tags, Time, brief, counted } from "./parts.js";

const EDGES_SHOWN = 100;
const HISTORY_PAGE = 500;
const MOST_PAGES = 10;
const CHANGES_SHOWN = 25;

/** @param {any} data */
export const title = (data) => data?.asset?.name ?? data?.changes.at(0)?.name ?? "Asset";

/**
 * @param {URLSearchParams} query
 * @param {AbortSignal} signal
 */
export async function load(query, signal) {
  const path = `assets/${encodeURIComponent(query.get("id") ?? "")}`;
  const [asset, changes] = await Promise.all([
    get(path, {}, signal).then(({ data }) => data, (error) => error),
    history(path, signal).catch((error) => error),
  ]);
  const deleted = asset instanceof ApiError && asset.status === 404 && changes.items?.length > 0;
  if (asset instanceof Error && !deleted) throw asset;
  if (changes instanceof Error) throw changes;
  if (deleted) return { asset: null, changes: changes.items, more: changes.more };
  const walk = { page_size: String(EDGES_SHOWN), ...(query.has("all") ? {} : { depth: "1" }) };
  const [dependencies, dependents] = await Promise.all([
    get(`${path}/dependencies`, walk, signal), get(`${path}/dependents`, walk, signal),
  ]);
  return { asset, dependencies, dependents, changes: changes.items, more: changes.more };
}

/**
 * Return the changes, newest first. The API answers the oldest first.
 * @param {string} path
 * @param {AbortSignal} signal
 */
async function history(path, signal) {
  const items = [];
  let since = 0;
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const wanted = { since: String(since), limit: String(HISTORY_PAGE) };
    const { data } = await get(`${path}/changes`, wanted, signal);
    items.push(...data.changes);
    if (data.changes.length < HISTORY_PAGE) return { items: items.reverse(), more: false };
    since = data.last;
  }
  return { items: items.reverse(), more: true };
}

/** @param {{data: any, query: URLSearchParams}} properties */
export function View({ data, query }) {
  const { asset, changes, more } = data;
  if (!asset) {
    return [
      h("p", { class: "problem" }, "This asset was deleted. Its history is kept for some time."),
      h(History, { changes, more, query }),
    ];
  }
  return [
    h(Health, { asset }),
    h(Facts, { asset }),
    h("div", { class: "columns" }, [
      h(Edges, { heading: "Depends on", found: data.dependencies, unresolved: asset.unresolved,
        none: "It depends on nothing." }),
      h(Edges, { heading: "Needed by", found: data.dependents, unresolved: [],
        none: "Nothing depends on it." }),
    ]),
    h("p", {}, [
      h("a", { href: address("asset", { ...parameters(query), all: query.has("all") ? null : "1" }) },
        query.has("all") ? "Show direct edges only" : "Show indirect edges too"),
      " · ",
      h("a", { href: address("graph", { root: asset.id, depth: "2" }) }, "Show them as a graph"),
    ]),
    h(History, { changes, more, query }),
  ];
}

/** @param {{asset: any}} properties */
const Health = ({ asset }) => h("p", { class: "health" }, [
  h(Status, { status: asset.effectiveStatus }),
  asset.status !== asset.effectiveStatus && [" Its own status is ", asset.status, "."],
  asset.causedBy.some((/** @type {any} */ cause) => cause.id !== asset.id) && [
    " Because of ",
    asset.causedBy.map((/** @type {any} */ cause, /** @type {number} */ index) => [
      index > 0 && ", ", h(AssetLink, { asset: cause }), ` (${cause.status})`,
    ]),
    asset.moreCauses ? " and others." : ".",
  ],
]);

/** @param {{asset: any}} properties */
function Facts({ asset }) {
  /** @type {[string, any][]} */
  const facts = [
    ["Type", asset.type],
    ["Description", asset.description && h("span", { dir: "auto" }, asset.description)],
    ["Tags", asset.tags.length > 0 && h(Tags, { tags: asset.tags, shown: Infinity })],
    ["Managed by", asset.managedBy],
    ["Reference", asset.externalRef && h("code", {}, asset.externalRef)],
    ["Credentials", asset.secretRef
      && ["Secret ", h("code", {}, asset.secretRef.name), ", key ", h("code", {}, asset.secretRef.key)]],
    ["Created", h(Time, { at: asset.createdAt })],
    ["Updated", [h(Time, { at: asset.updatedAt }), ` (version ${asset.version})`]],
    ["Id", h("code", {}, asset.id)],
    ["Configuration", Object.keys(asset.config).length > 0
      && h("pre", { tabindex: 0, role: "region", "aria-label": "Configuration" },
        JSON.stringify(asset.config, null, 2))],
  ];
  return h("dl", {}, facts.filter(([, value]) => value).map(([name, value]) =>
    h("div", { key: name }, [h("dt", {}, name), h("dd", {}, value)])));
}

/** @param {{heading: string, found: any, unresolved: string[], none: string}} properties */
function Edges({ heading, found, unresolved, none }) {
  const { data, pagination } = found;
  const more = (pagination.total ?? data.length) - data.length;
  const id = heading.replaceAll(" ", "-");
  return h("section", { "aria-labelledby": id }, [
    h("h2", { id }, heading),
    data.length + unresolved.length === 0 ? h("p", { class: "empty" }, none)
      : h("ul", { class: "edges" }, [
        ...data.map((/** @type {any} */ asset) => h("li", { key: asset.id }, [
          h(AssetLink, { asset }), " ", h(Status, { status: asset.status }),
          h("small", {}, ` ${asset.type}${asset.depth > 1 ? `, ${asset.depth} steps away` : ""}`),
        ])),
        ...unresolved.map((reference) => h("li", { key: reference }, [
          h("code", {}, reference), " is not in the registry yet",
        ])),
      ]),
    more > 0 && h("p", {}, `and ${counted(more, "other")}`),
  ]);
}

/** @param {{changes: any[], more: boolean, query: URLSearchParams}} properties */
function History({ changes, more, query }) {
  const shown = Number(query.get("changes")) || CHANGES_SHOWN;
  return h("section", { "aria-labelledby": "history" }, [
    h("h2", { id: "history" }, "History"),
    more && h("p", {}, `Only the oldest ${changes.length} changes are shown.`),
    h("ol", { class: "history" }, changes.slice(0, shown).map((change) => h("li", { key: change.seq }, [
      h("p", {}, [
        h("strong", {}, change.action), " ", h(Time, { at: change.at }), " by ", h("code", {}, change.actor),
      ]),
      change.action === "updated" && h("ul", { class: "plain" },
        [...differences(change.before, change.after)].map(([field, before, after]) =>
          h("li", { key: field }, [
            h("code", {}, field), ": ", h("del", { dir: "auto" }, brief(before)), " → ",
            h("ins", { dir: "auto" }, brief(after)),
          ]))),
    ]))),
    shown < changes.length && h("a", {
      href: address("asset", { ...parameters(query), changes: String(shown * 4) }),
    }, `Show more of ${counted(changes.length, "change")}`),
  ]);
}

/**
 * Yield the path, the old and the new value of what was changed, one level deep.
 * @param {Record<string, any> | null} before
 * @param {Record<string, any> | null} after
 * @returns {Generator<[string, unknown, unknown]>}
 */
export function* differences(before, after, path = "") {
  for (const key of new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])) {
    const [old, young] = [before?.[key], after?.[key]];
    if (JSON.stringify(old) === JSON.stringify(young)) continue;
    if (!path && [old, young].every(isObject)) yield* differences(old, young, `${key}.`);
    else yield [path + key, old, young];
  }
}

/** @param {unknown} value */
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
