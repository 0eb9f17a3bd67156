// What every list that comes from the server needs: an empty state, a failed one, and a way to ask again.

import { fill, h } from "./dom.js";

/** A sentence where there is nothing to show. @param {string} text */
export const nothing = (text) => h("p", { class: "nothing" }, text);

/** Fills a panel once its data is there; says so when it is not. @param {HTMLElement} host @param {() => Promise<unknown>} load @param {(error: unknown) => string} say */
export async function loadInto(host, load, say) {
  host.setAttribute("aria-busy", "true");
  try {
    const content = await load();
    if (content !== undefined) fill(host, content);
  } catch (error) {
    fill(host, h("p", { class: "problem", role: "alert" }, say(error)), h("button", { type: "button", class: "button button--small", onclick: () => void loadInto(host, load, say) }, "Try again"));
  } finally {
    host.removeAttribute("aria-busy");
  }
}
