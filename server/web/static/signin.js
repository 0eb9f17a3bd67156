// The screen for whoever is not signed in, and the exchange of a link's token for a session.

import { h, fill, byId, uid } from "./dom.js";
import { mark } from "./icons.js";
import { sentence } from "./api.js";

/** The name as it is drawn: its first four letters are a garment, and carry the stitch. */
export function wordmark() {
  return h("span", { class: "wordmark" }, mark(), h("span", { class: "wordmark__text" }, h("span", { class: "wordmark__vest" }, "Vest"), "ige"));
}

/** Takes the token out of the address bar, and out of the history with it. @returns {string|null} */
export function takeToken() {
  const url = new URL(location.href);
  const token = url.searchParams.get("token");
  if (token === null) return null;
  url.searchParams.delete("token");
  history.replaceState(null, "", url.pathname + url.search + url.hash);
  return token;
}

/** The token of what a person pasted: a whole link, or the token itself. @param {string} text */
export function tokenOf(text) {
  const trimmed = text.trim();
  try {
    return new URL(trimmed).searchParams.get("token") ?? trimmed;
  } catch {
    return trimmed.replace(/^.*[?&]token=/, "").replace(/[&#].*$/, "");
  }
}

/**
 * @param {import("./api.js").Api} api
 * @param {{problem?: string, onSignedIn: (me: import("../types.js").Me) => void}} options
 */
export function showSignIn(api, { problem = "", onSignedIn }) {
  const id = uid("token");
  const alert = h("p", { class: "problem", role: "alert", id: `${id}-problem`, hidden: !problem }, problem);
  const field = h("input", {
    id, class: "input", type: "text", name: "token", autocomplete: "off", autocapitalize: "off", spellcheck: "false", required: true,
    placeholder: "http://…/?token=…", "aria-describedby": `${id}-problem`, autofocus: true,
  });
  const button = h("button", { class: "button button--primary", type: "submit" }, "Sign in");
  const form = h("form", { class: "signin__form", novalidate: true }, h("label", { class: "label", for: id }, "Sign-in link or token"), field, alert, button);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const token = tokenOf(field.value);
    if (!token) {
      field.focus();
      return;
    }
    button.disabled = true;
    alert.hidden = true;
    try {
      onSignedIn(await api.signIn(token));
    } catch (error) {
      alert.textContent = sentence(error);
      alert.hidden = false;
      field.setAttribute("aria-invalid", "true");
      field.select();
    } finally {
      button.disabled = false;
    }
  });
  document.title = "Sign in · Vestige";
  fill(
    byId("app"),
    h(
      "main",
      { class: "signin", id: "content", tabindex: "-1" },
      h(
        "div",
        { class: "signin__card" },
        h("h1", { class: "signin__name" }, wordmark()),
        h("p", { class: "signin__line" }, "A trace that stays."),
        h("p", null, "Open the sign-in link that whoever runs this server gave you, or paste it here. If you run it yourself, the link is in the terminal where it was started."),
        form,
        h("p", { class: "hint" }, "A link works once. Ask for a new one if yours was used."),
      ),
    ),
  );
  field.focus();
}
