// All assets: filters, which are those of the API and are in the address, and a page of the list.

import { h } from "./preact.mjs";
import { address, only, parameters } from "./address.js";
import { get } from "./api.js";
import { AssetLink, Status, Table, Tags, Time, counted } from "./parts.js";

const FILTERS = ["q", "type", "status", "effective_status", "managed_by", "tag", "any_tag",
  "updated_since", "external_ref_prefix"];
const PAGING = ["sort", "cursor", "page_size"];
const FIELDS = "id,name,type,status,effectiveStatus,managedBy,tags,updatedAt";
/** @type {[string, string, string][]} parameter, member of the facets, legend */
const CHOICES = [
  ["effective_status", "effectiveStatus", "Effective status"],
  ["type", "type", "Type"],
  ["managed_by", "managedBy", "Managed by"],
  ["status", "status", "Own status"],
];
// Filters without a control of their own, which can be removed one by one.
const CHIPS = ["tag", "any_tag", "updated_since", "external_ref_prefix"];
/** @type {[string, string | null, string][]} heading, sort key, class */
const COLUMNS = [
  ["Name", "name", ""],
  ["Effective status", null, ""],
  ["Type", "type", "medium"],
  ["Managed by", null, "wide"],
  ["Tags", null, "wide"],
  ["Updated", "updated_at", "medium"],
];

export const title = () => "Assets";

/**
 * @param {URLSearchParams} query
 * @param {AbortSignal} signal
 */
export async function load(query, signal) {
  const wanted = only(query, [...FILTERS, ...PAGING]);
  wanted.set("fields", FIELDS);
  const [found, all] = await Promise.all([
    get("assets", wanted, signal), get("facets", {}, signal),
  ]);
  return { assets: found.data, pagination: found.pagination, facets: all.data };
}

/** @param {{data: any, query: URLSearchParams, go: (address: string) => void}} properties */
export function View({ data, query, go }) {
  const { assets, pagination, facets } = data;
  const total = pagination.total ?? null;
  const filtered = FILTERS.some((name) => query.has(name));
  const said = total === null ? `${counted(assets.length, "asset")} on this page`
    : `${pagination.more ? "more than " : ""}${counted(total, "asset")}${filtered ? ` of ${facets.total.toLocaleString("en")}` : ""}`;
  return h("div", { class: "filtered" }, [
    h(Filters, { facets, query, go }),
    h("section", { "aria-labelledby": "found" }, [
      h("h2", { id: "found" }, h("span", { role: "status" }, said)),
      h(Table, {
        label: "Assets",
        columns: COLUMNS.map(([text, key, width]) => h(Heading, { text, name: key, width, query })),
        rows: assets.map((/** @type {any} */ asset) => h(Row, { key: asset.id, asset })),
        empty: filtered ? "No asset matches these filters."
          : "The registry has no assets yet. Add some with POST /api/v1/assets, or let the operator"
            + " sync bots and AssetRegistry objects.",
      }),
      h(Pager, { query, next: pagination.next_cursor }),
    ]),
  ]);
}

/** @param {{asset: any}} properties */
const Row = ({ asset }) => h("tr", {}, [
  h("th", { scope: "row" }, h(AssetLink, { asset })),
  h("td", {}, [
    h(Status, { status: asset.effectiveStatus }),
    asset.status !== asset.effectiveStatus && h("small", {}, ` own: ${asset.status}`),
  ]),
  h("td", { class: "medium" }, asset.type),
  h("td", { class: "wide" }, asset.managedBy),
  h("td", { class: "wide" }, h(Tags, { tags: asset.tags })),
  h("td", { class: "medium" }, h(Time, { at: asset.updatedAt })),
]);

/** @param {{text: string, name: string | null, width: string, query: URLSearchParams}} properties */
function Heading({ text, name, width, query }) {
  if (name === null) return h("th", { scope: "col", class: width }, text);
  const current = query.get("sort");
  const order = current === name ? "ascending" : current === `-${name}` ? "descending" : undefined;
  const next = { ...parameters(query), cursor: null, sort: order === "ascending" ? `-${name}` : name };
  return h("th", { scope: "col", class: width, "aria-sort": order },
    h("a", { href: address("assets", next) }, [
      text, h("span", { "aria-hidden": "true" }, order ? (order === "ascending" ? " ▲" : " ▼") : ""),
    ]));
}

/** @param {{query: URLSearchParams, next: string | null | undefined, view?: string}} properties */
export function Pager({ query, next, view = "assets" }) {
  const here = parameters(query);
  if (!next && !query.has("cursor")) return null;
  return h("nav", { class: "pager", "aria-label": "Pages" }, [
    query.has("cursor") && h("a", { href: address(view, { ...here, cursor: null }) }, "First page"),
    next && h("a", { href: address(view, { ...here, cursor: next }), rel: "next" }, "Next page"),
  ]);
}

/** @param {{facets: any, query: URLSearchParams, go: (address: string) => void}} properties */
function Filters({ facets, query, go }) {
  /** @param {Event} event */
  function apply(event) {
    event.preventDefault();
    const form = /** @type {HTMLFormElement} */ (/** @type {any} */ (event.target).closest("form"));
    const chosen = new FormData(form);
    /** @type {Record<string, any>} */
    const next = { ...parameters(query), cursor: null };
    for (const name of ["q", ...CHOICES.map(([parameter]) => parameter)]) {
      next[name] = chosen.getAll(name).map(String);
    }
    const tag = String(chosen.get("new_tag") ?? "").trim();
    if (tag) next.tag = [...new Set([...query.getAll("tag"), tag])];
    go(address("assets", next));
  }

  const q = query.get("q") ?? "";
  const chips = [...query].filter(([name]) => CHIPS.includes(name));
  const others = FILTERS.some((name) => query.has(name));
  return h("details", { class: "filters", open: matchMedia("(min-width: 60rem)").matches || undefined }, [
    h("summary", {}, "Filters"),
    h("form", { role: "search", onSubmit: apply }, [
      h("label", { for: "q" }, "Text in name or description"),
      h("input", { key: `q ${q}`, id: "q", name: "q", type: "search", defaultValue: q, maxlength: 200,
        onChange: apply }),
      ...CHOICES.map(([parameter, member, legend]) =>
        h(Choice, { key: parameter, parameter, legend, apply, values: facets[member],
          chosen: query.getAll(parameter) })),
      h("label", { for: "new_tag" }, "Tag"),
      h("input", { key: `tag ${query.getAll("tag")}`, id: "new_tag", name: "new_tag", list: "tags", autocomplete: "off",
        onChange: apply }),
      h("datalist", { id: "tags" }, facets.tag.map((/** @type {any} */ { value, count }) =>
        h("option", { key: value, value }, counted(count, "asset")))),
      chips.length > 0 && h("ul", { class: "chosen", "aria-label": "Chosen" }, chips.map(([name, value]) =>
        h("li", { key: `${name} ${value}` }, h(Chip, { name, value, query })))),
      others && h("a", { href: address("assets", { sort: query.get("sort") }) }, "Remove all filters"),
      h("button", { type: "submit" }, "Apply"),
    ]),
  ]);
}

/** @param {{parameter: string, legend: string, values: any[], chosen: string[], apply: (event: Event) => void}} properties */
function Choice({ parameter, legend, values, chosen, apply }) {
  const known = values.map(({ value }) => value);
  const shown = [...values, ...chosen.filter((value) => !known.includes(value))
    .map((value) => ({ value, count: 0 }))];
  if (!shown.length) return null;
  return h("fieldset", {}, [
    h("legend", {}, legend),
    ...shown.map(({ value, count }) => h("label", { key: value, class: "check" }, [
      h("input", { type: "checkbox", name: parameter, value, checked: chosen.includes(value),
        onChange: apply }),
      value, h("small", {}, ` ${count.toLocaleString("en")}`),
    ])),
  ]);
}

/** @param {{name: string, value: string, query: URLSearchParams}} properties */
function Chip({ name, value, query }) {
  const left = query.getAll(name).filter((each) => each !== value);
  const text = name === "tag" ? value : `${name}: ${value}`;
  return h("a", {
    class: "tag", "aria-label": `Remove ${text}`,
    href: address("assets", { ...parameters(query), cursor: null, [name]: left }),
  }, [text, h("span", { "aria-hidden": "true" }, " ×")]);
}
