// The bots that the operator has synced, and what they depend on.

import { h } from "./preact.mjs";
import { only } from "./address.js";
import { get } from "./api.js";
import { Pager } from "./assets.js";
import { Age, AssetLink, Status, Table, Time, counted } from "./parts.js";

const FIELDS = "id,name,status,effectiveStatus,config,dependsOn,updatedAt";
// Each costs a request. Bots share their exchanges, so more are rare.
const MOST_NAMED = 20;

/** @type {[string, string][]} heading, class */
const COLUMNS = [["Name", ""], ["Phase", ""], ["Day PnL", ""], ["Effective status", "medium"], ["Mode", "medium"],
  ["Strategy", "wide"], ["Depends on", "medium"], ["Updated", "wide"]];

export const title = () => "Bots";

// Reports are not changes of the registry, so the page must look for them.
export const reports = true;

/**
 * @param {URLSearchParams} query
 * @param {AbortSignal} signal
 */
export async function load(query, signal) {
  const wanted = only(query, ["cursor"]);
  for (const [name, value] of Object.entries({
    external_ref_prefix: "tradingbot/", managed_by: "operator", sort: "name", page_size: "100",
    fields: FIELDS,
  })) wanted.set(name, value);
  const { data, pagination } = await get("assets", wanted, signal);
  const ids = data.map((/** @type {any} */ bot) => ["asset", bot.id]);
  const reported = ids.length ? (await get("reports", new URLSearchParams(ids), signal)).data.reports : [];
  const last = new Map(reported.map((/** @type {any} */ report) => [report.assetId, report]));
  const needed = [...new Set(data.flatMap((/** @type {any} */ bot) => bot.dependsOn))];
  const named = await Promise.all(needed.filter((id) => !id.includes("/")).slice(0, MOST_NAMED)
    .map((id) => get(`assets/${id}`, {}, signal).then((found) => found.data, () => null)));
  const names = new Map(named.filter(Boolean).map((asset) => [asset.id, asset]));
  return { bots: data, pagination, names, last };
}

/** @param {{data: any, query: URLSearchParams}} properties */
export function View({ data, query }) {
  const { bots, pagination, names, last } = data;
  const total = pagination.total ?? bots.length;
  return [
    h("p", { role: "status" }, pagination.more ? "more than " : "", counted(total, "bot")),
    h(Table, {
      label: "Bots",
      columns: COLUMNS.map(([text, width]) => h("th", { scope: "col", class: width }, text)),
      rows: bots.map((/** @type {any} */ bot) => 
        h(Row, { key: bot.id, bot, names, report: last.get(bot.id) })),
      empty: "The operator has synced no bots.",
    }),
    h(Pager, { query, next: pagination.next_cursor, view: "bots" }),
  ];
}

/** @param {{bot: any, names: Map<string, any>, report: any}} properties */
const Row = ({ bot, names, report }) => h("tr", {}, [
  h("th", { scope: "row" }, [
    h(AssetLink, { asset: bot }), h("small", {}, ` in ${bot.config.namespace ?? "?"}`),
  ]),
  h("td", {}, String(bot.config.phase ?? "not known")),
  h("td", {}, report ? [report.dayPnL, h("small", {}, [" ", h(Age, { at: report.at })])] : "not known"),
  h("td", { class: "medium" }, h(Status, { status: bot.effectiveStatus })),
  h("td", { class: "medium" }, String(bot.config.mode ?? "")),
  h("td", { class: "wide" }, String(bot.config.strategy ?? "")),
  h("td", { class: "medium" }, h("ul", { class: "plain" }, bot.dependsOn.map((/** @type {string} */ id) =>
    h("li", { key: id }, id.includes("/") ? `${id} (not in the registry)`
      : h(AssetLink, { asset: names.get(id) ?? { id, name: id } }))))),
  h("td", { class: "wide" }, h(Time, { at: bot.updatedAt })),
]);
