// The page: what the address bar says is loaded and drawn, and again when the registry changes.

import { h, render } from "./preact.mjs";
import { address, namespaces, parameters, routeOf } from "./address.js";
import { ApiError, get, sentence, signIn, signedIn } from "./api.js";
import * as asset from "./asset.js";
import * as assets from "./assets.js";
import * as bots from "./bots.js";
import * as graph from "./graph.js";
import { Login } from "./login.js";

/** @type {Map<string, any>} a map, since an address may name any property of an object */
const VIEWS = new Map(Object.entries({ assets, bots, graph, asset }));
/** @type {Record<string, string>} */
const MENU = { assets: "Assets", bots: "Bots", graph: "Graph" };
const WAIT_SECONDS = "25";
const REST_MILLISECONDS = 2000;
const RETRY_MILLISECONDS = 5000;

/** What is shown. `ui` is of the view, and is gone with it. */
const state = {
  route: routeOf(location.search),
  /** @type {any} */ data: null,
  /** @type {unknown} */ error: null,
  loading: true,
  /** @type {Record<string, any>} */ ui: {},
};
let underWay = new AbortController();

/** Load what the address says. The old stays in sight until then, unless the view is another one. */
async function load() {
  underWay.abort();
  const mine = new AbortController();
  underWay = mine;
  const { view, query } = state.route;
  state.loading = true;
  draw();
  try {
    const shown = VIEWS.get(view);
    if (!shown) throw new ApiError(422, `there is no view ${view}`);
    const data = await shown.load(query, mine.signal);
    if (mine.signal.aborted) return;
    Object.assign(state, { data, error: null });
  } catch (error) {
    if (mine.signal.aborted) return;
    state.error = error;
    // What can't be seen any more must not stay in sight.
    if (error instanceof ApiError && error.status >= 400 && error.status < 500) state.data = null;
  }
  state.loading = false;
  draw();
}

/** @param {string} href */
function go(href) {
  if (new URL(href, location.href).search !== location.search) history.pushState(null, "", href);
  arrive();
}

async function arrive() {
  const before = state.route;
  state.route = routeOf(location.search);
  const isOther = before.view !== state.route.view || before.query.get("id") !== state.route.query.get("id");
  if (isOther) Object.assign(state, { data: null, error: null, ui: {} });
  if (String(before.query.getAll("namespace")) !== String(namespaces())) follow();
  await load();
  // As a browser does for a new page; a filter leaves the focus where it is.
  if (isOther) {
    scrollTo(0, 0);
    document.querySelector("h1")?.focus();
  }
}

/** @param {Record<string, any>} ui */
function change(ui) {
  Object.assign(state.ui, ui);
  draw();
}

function draw() {
  const needsToken = state.error instanceof ApiError && state.error.status === 401;
  const heading = needsToken ? "Sign in" : VIEWS.get(state.route.view)?.title(state.data) ?? "Not found";
  document.title = `${heading} | Asset registry`;
  render(h(Page, { needsToken, heading }), /** @type {Element} */ (document.getElementById("page")));
}

/** @param {{needsToken: boolean, heading: string}} properties */
function Page({ needsToken, heading }) {
  return [
    h("header", {}, [
      h("a", { class: "skip", href: "#main" }, "Skip to the content"),
      h("strong", {}, "Asset registry"),
      h("nav", { "aria-label": "Views" }, [
        ...Object.entries(MENU).map(([view, text]) => h("a", {
          key: view, href: address(view), "aria-current": view === state.route.view ? "page" : undefined,
        }, text)),
        h("a", { key: "docs", href: "api/v1/docs" }, "API"),
      ]),
      h(Namespaces, {}),
      signedIn() && h("button", { type: "button", onClick: () => use("", false) }, "Sign out"),
    ]),
    needsToken
      ? h(Login, { signIn: use, refusal: signedIn() ? sentence(state.error) : "" })
      : h(Content, { heading }),
  ];
}

function Namespaces() {
  const current = namespaces().join(" ");
  /** @param {any} event */
  function apply(event) {
    event.preventDefault();
    const input = event.target.form?.elements.namedItem("namespaces") ?? event.target.elements.namespaces;
    const { view, query } = state.route;
    const namespace = input.value.split(/[\s,]+/);
    go(address(view, { ...parameters(query), cursor: null, namespace }));
  }
  return h("form", { class: "namespaces", onSubmit: apply }, [
    h("label", { for: "namespaces" }, "Namespaces"),
    h("input", { key: current, id: "namespaces", name: "namespaces", defaultValue: current,
      placeholder: "all", autocomplete: "off", spellcheck: false, onChange: apply }),
  ]);
}

/** @param {{heading: string}} properties */
function Content({ heading }) {
  const { data, error, loading, route, ui } = state;
  return h("main", { id: "main", "aria-busy": loading }, [
    h("h1", { tabindex: -1, dir: "auto" }, heading),
    error !== null && h("p", { class: "problem", role: "alert" }, [
      sentence(error), data && " What you see may be old.", " ",
      h("button", { type: "button", onClick: load }, "Try again"),
    ]),
    data ? h(VIEWS.get(route.view).View, { key: route.view, data, query: route.query, ui, change, go })
      : loading && h("p", { role: "status" }, "Loading…"),
  ]);
}

/**
 * Sign in, or out with an empty token.
 * @param {string} token
 * @param {boolean} keep
 */
function use(token, keep) {
  signIn(token, keep);
  Object.assign(state, { data: null, error: null });
  load();
  follow();
}

let followed = 0;

/** Load again after each change in the registry, for as long as the page is in sight. */
async function follow() {
  followed += 1;
  const mine = followed;
  /** @type {string | null} */
  let since = null;
  while (mine === followed) {
    await inSight();
    let rest = REST_MILLISECONDS;
    try {
      /** @type {Record<string, string>} */
      const query = since === null ? {} : { since, wait: WAIT_SECONDS, limit: "500" };
      const { data } = await get("changes", query);
      if (mine !== followed) return;
      const reports = VIEWS.get(state.route.view)?.reports;
      if (state.error !== null || data.changes.length > 0 || (reports && since !== null)) load();
      since = String(data.last);
    } catch (error) {
      const status = error instanceof ApiError ? error.status : 0;
      if (status === 401 || status === 403) return;
      // 410 and 422: the changes are no longer kept, or the registry was restored.
      if (status === 410 || status === 422) {
        since = null;
        load();
      } else if (mine === followed) {
        state.error ??= error;
        draw();
      }
      rest = RETRY_MILLISECONDS;
    }
    await new Promise((done) => { setTimeout(done, rest); });
  }
}

const inSight = () => new Promise((done) => {
  if (!document.hidden) done(null);
  else document.addEventListener("visibilitychange", () => done(inSight()), { once: true });
});

addEventListener("popstate", arrive);
document.addEventListener("click", (event) => {
  const link = /** @type {Element} */ (event.target).closest("a");
  const href = link?.getAttribute("href");
  const isPlain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
  if (!href || !isPlain || event.defaultPrevented) return;
  if (href === "#main") {
    event.preventDefault();
    document.querySelector("h1")?.focus();
  } else if (href.startsWith("?")) {
    event.preventDefault();
    go(href);
  }
});
load();
follow();
