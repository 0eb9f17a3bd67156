// Short notices at the edge of the page. Errors interrupt a screen reader (role=alert); the rest does not.

import { byId, h } from "./dom.js";
import { icon } from "./icons.js";
import { sentence, wasAborted } from "./api.js";

const LINGER_MS = 6_000;
const LINGER_ERROR_MS = 12_000;

/**
 * @param {string} text
 * @param {{error?: boolean, action?: {label: string, run: () => void}}} [options]
 */
export function toast(text, { error = false, action } = {}) {
  const host = byId("toasts");
  for (const old of host.children) if (/** @type {HTMLElement} */ (old).dataset.text === text) old.remove();
  const node = h(
    "div",
    { class: `toast${error ? " toast--error" : ""}`, role: error ? "alert" : "status", "data-text": text },
    icon(error ? "warn" : "check"),
    h("p", { class: "toast__text", dir: "auto" }, text),
    action && h("button", { type: "button", class: "link", onclick: () => { dismiss(); action.run(); } }, action.label),
    h("button", { type: "button", class: "icon-button", "aria-label": "Dismiss", onclick: () => dismiss() }, icon("close")),
  );
  // The newest layer wins: reopening brings the notices in front of a dialog that opened meanwhile.
  if (host.matches(":popover-open")) host.hidePopover();
  host.append(node);
  host.showPopover();
  let timer = setTimeout(dismiss, error ? LINGER_ERROR_MS : LINGER_MS);
  node.addEventListener("pointerenter", () => clearTimeout(timer));
  node.addEventListener("focusin", () => clearTimeout(timer));
  node.addEventListener("pointerleave", () => {
    timer = setTimeout(dismiss, LINGER_MS);
  });

  function dismiss() {
    clearTimeout(timer);
    node.remove();
    if (!host.childElementCount && host.matches(":popover-open")) host.hidePopover();
  }
}

/** Says what went wrong; a cancelled request is no error. @param {unknown} error */
export function toastError(error) {
  if (wasAborted(error)) return;
  const known = sentence(error);
  if (!(error instanceof Error) || error.name === "TypeError" || error.name === "ReferenceError") console.error(error);
  toast(known, { error: true });
}

/** Runs an action of a button; a failure becomes a notice. @template T @param {() => Promise<T>} action @returns {Promise<T|undefined>} */
export async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    toastError(error);
    return undefined;
  }
}
