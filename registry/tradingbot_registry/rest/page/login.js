// The form for a token, for a registry in a cluster.

import { h } from "./preact.mjs";

// What a header can carry. Anything else is a mistake in copying.
const TOKEN = /^[\x21-\x7e]+$/;

/**
 * @param {{refusal: string, signIn: (token: string, keep: boolean) => void}} properties
 */
export function Login({ refusal, signIn }) {
  /** @param {SubmitEvent} event */
  function submit(event) {
    event.preventDefault();
    const form = /** @type {HTMLFormElement} */ (event.target);
    const input = /** @type {HTMLInputElement} */ (form.elements.namedItem("token"));
    const keep = /** @type {HTMLInputElement} */ (form.elements.namedItem("keep"));
    const text = input.value.trim();
    input.setCustomValidity(TOKEN.test(text) ? "" : "A token has no spaces and no line breaks.");
    if (input.reportValidity()) signIn(text, keep.checked);
  }

  return h("main", { id: "main" }, [
    h("h1", { tabindex: -1 }, "Sign in with a token"),
    refusal && h("p", { class: "problem", role: "alert" }, refusal),
    h("p", {}, "This registry asks the cluster who you are. Make a token that is valid for the registry"
      + " only, and paste it here:"),
    h("pre", { tabindex: 0, role: "region", "aria-label": "Command" },
      "kubectl create token NAME --audience=tradingbot-registry"),
    h("p", {}, [
      "NAME is a ServiceAccount that may read assets: one with the ClusterRole ",
      h("code", {}, "tradingbot-registry-reader"), ".",
    ]),
    h("form", { onSubmit: submit }, [
      h("label", { for: "token" }, "Token"),
      h("input", {
        id: "token", name: "token", type: "password", autocomplete: "off", spellcheck: false,
        required: true, autofocus: true,
        onInput: (/** @type {any} */ event) => event.target.setCustomValidity(""),
      }),
      h("label", { class: "check" }, [
        h("input", { type: "checkbox", name: "keep" }),
        "Keep it until this tab is closed (the browser may write it to its disk)",
      ]),
      h("button", { type: "submit" }, "Sign in"),
    ]),
  ]);
}
