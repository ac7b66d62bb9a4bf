// The address bar: a view, and its filters. Everything that a reload or a link must keep is here.

/** @typedef {{view: string, query: URLSearchParams}} Route */

const DEFAULT_VIEW = "assets";

/**
 * Parse the query of an address, such as `?view=asset&id=...`.
 * @param {string} search
 * @returns {Route}
 */
export function routeOf(search) {
  const query = new URLSearchParams(search);
  const view = query.get("view") ?? DEFAULT_VIEW;
  query.delete("view");
  return { view, query };
}

/** Return the namespaces of the address, which all views have in common. Empty: all. */
export const namespaces = () => new URLSearchParams(location.search).getAll("namespace");

/**
 * Return the address of a view. Parameters that are null or empty are left out; lists are repeated.
 * Namespaces stay as they are, unless given.
 * @param {string} view
 * @param {Record<string, string | string[] | null | undefined>} [parameters]
 */
export function address(view, parameters = {}) {
  const query = new URLSearchParams(view === DEFAULT_VIEW ? {} : { view });
  for (const [name, value] of Object.entries({ namespace: namespaces(), ...parameters })) {
    for (const each of [value ?? []].flat()) if (each !== "") query.append(name, each);
  }
  return `?${query}`;
}

/**
 * Return the parameters of a query as an object that `address` takes.
 * @param {URLSearchParams} query
 * @returns {Record<string, string[]>}
 */
export function parameters(query) {
  return Object.fromEntries([...query.keys()].map((name) => [name, query.getAll(name)]));
}

/**
 * Return only those parameters of a query that a call of the API takes.
 * @param {URLSearchParams} query
 * @param {string[]} names
 */
export function only(query, names) {
  return new URLSearchParams([...query].filter(([name, value]) => names.includes(name) && value));
}
