// Parts that several views show. All texts of the registry are text nodes or attributes.

import { h } from "./preact.mjs";
import { address } from "./address.js";

/** @typedef {{id: string, name: string, type: string, status: string}} Reference */

/**
 * The name of an asset, in its own direction of writing, as a link to its page.
 * @param {{asset: {id: string, name: string}}} properties
 */
export const AssetLink = ({ asset }) =>
  h("a", { href: address("asset", { id: asset.id }), dir: "auto", class: "name" }, asset.name);

const KNOWN = ["Active", "Degraded", "Draft", "Failed", "Inactive"];

/**
 * A status. Colours only repeat what the word says.
 * @param {{status: string}} properties
 */
export const Status = ({ status }) =>
  h("span", { class: `status ${KNOWN.includes(status) ? status : ""}` }, status);

/** @param {{at: string}} properties */
export function Time({ at }) {
  const moment = new Date(at);
  const text = Number.isNaN(moment.valueOf())
    ? at
    : moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
  return h("time", { datetime: at, title: at }, text);
}

/**
 * How long ago something was, in one unit.
 * @param {{at: string}} properties
 */
export function Age({ at }) {
  const seconds = Math.max(0, Math.round((Date.now() - new Date(at).valueOf()) / 1000));
  /** @type {[number, string]} */
  const [size, unit] = seconds < 60 ? [1, "s"] : seconds < 3600 ? [60, "min"]
    : seconds < 86400 ? [3600, "h"] : [86400, "days"];
  return h("time", { datetime: at, title: at }, `${Math.floor(seconds / size)} ${unit} ago`);
}

const SHOWN_TAGS = 6;

/** @param {{tags: string[], shown?: number}} properties */
export function Tags({ tags, shown = SHOWN_TAGS }) {
  const more = tags.length - shown;
  return h("span", { class: "tags" }, [
    ...tags.slice(0, shown).map((tag) =>
      h("a", { key: tag, href: address("assets", { tag }), class: "tag" }, tag)),
    more > 0 && h("span", { key: "" }, `and ${more} more`),
  ]);
}

/**
 * A table that scrolls in its own box where it is too wide.
 * @param {{label: string, columns: any[], rows: any[], empty: string}} properties
 */
export function Table({ label, columns, rows, empty }) {
  if (!rows.length) return h("p", { class: "empty" }, empty);
  return h("div", { class: "scroll", role: "region", "aria-label": label, tabindex: 0 },
    h("table", {}, [
      h("thead", {}, h("tr", {}, columns.map((column) =>
        typeof column === "string" ? h("th", { scope: "col" }, column) : column))),
      h("tbody", {}, rows),
    ]));
}

/**
 * A number of things.
 * @param {number} number
 * @param {string} singular
 */
export const counted = (number, singular, plural = `${singular}s`) =>
  `${number.toLocaleString("en")} ${number === 1 ? singular : plural}`;

/**
 * A JSON value, written out. Long ones are cut.
 * @param {unknown} value
 */
export function brief(value, limit = 300) {
  const text = typeof value === "string" ? value : JSON.stringify(value) ?? "nothing";
  return text.length > limit ? `${text.slice(0, limit)}…` : text;
}
