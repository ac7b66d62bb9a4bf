// The registry's REST API. The token is sent in a header, and is never part of an address.

const ROOT = new URL("../api/v1/", import.meta.url);
const KEPT = "tradingbot-registry-token";

/** An answer that is not a success, or none at all (`status` 0). */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} detail
   * @param {string} [requestId]
   */
  constructor(status, detail, requestId = "") {
    super(detail);
    this.status = status;
    this.requestId = requestId;
  }
}

let token = sessionStorage.getItem(KEPT) ?? "";

export const signedIn = () => token !== "";

/**
 * Use this token from now on; an empty one signs out. It is in the memory of this page, and, only
 * if the user wants it, in the storage of this tab, which a browser may write to its disk.
 * @param {string} text
 * @param {boolean} keep
 */
export function signIn(text, keep) {
  token = text;
  sessionStorage.removeItem(KEPT);
  if (keep && text) sessionStorage.setItem(KEPT, text);
}

/**
 * Get a part of the API.
 * @param {string} path
 * @param {URLSearchParams | Record<string, string>} query
 * @param {AbortSignal} [signal]
 * @returns {Promise<{data: any, pagination: any}>}
 * @throws {ApiError}
 */
export async function get(path, query = {}, signal) {
  const url = new URL(path, ROOT);
  url.search = String(new URLSearchParams(query));
  /** @type {Record<string, string>} */
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let response;
  try {
    response = await fetch(url, { headers, signal, credentials: "same-origin", redirect: "error" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "no answer");
  }
  const data = await response.json().catch(() => null);
  if (response.ok && data !== null) {
    return { data, pagination: JSON.parse(response.headers.get("X-Pagination") ?? "{}") };
  }
  const said = typeof data?.detail === "string" ? data.detail : "the answer is not the registry's";
  throw new ApiError(response.status, said.replace(/\.$/, ""), response.headers.get("X-Request-ID") ?? "");
}

/**
 * Return what went wrong, and what to do, as sentences.
 * @param {unknown} error
 */
export function sentence(error) {
  if (!(error instanceof ApiError)) return `This page has a defect: ${error}. Reload it.`;
  const request = error.requestId ? ` The request is ${error.requestId} in the log.` : "";
  switch (error.status) {
    case 0:
      return "The registry does not answer. Is it running, and can you reach it?";
    case 401:
      return `The registry does not accept the token: ${error.message}.`;
    case 403:
      return `You may not see this: ${error.message}. The ClusterRole tradingbot-registry-reader allows it.`;
    case 404:
      return `There is no such asset: ${error.message}.`;
    case 422:
      return `The registry does not understand the address of this page: ${error.message}.`;
    default:
      return `The registry answered ${error.status}: ${error.message}.${request}`;
  }
}
