// Light, dark, or as the system says. early.js sets the stored choice before the first paint.

import { local } from "./storage.js";

/** @typedef {"auto"|"light"|"dark"} Theme */

const COLORS = { light: "#f6f1e9", dark: "#191417" };
const system = matchMedia("(prefers-color-scheme: dark)");

/** @returns {Theme} */
export function theme() {
  const stored = local.get("theme");
  return stored === "light" || stored === "dark" ? stored : "auto";
}

/** @param {Theme} choice */
export function setTheme(choice) {
  local.set("theme", choice === "auto" ? null : choice);
  if (choice === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = choice;
  paintBrowser();
}

/** The next choice of the toggle. @returns {Theme} */
export function nextTheme() {
  return /** @type {const} */ ({ auto: "light", light: "dark", dark: "auto" })[theme()];
}

/** Colours the browser's own bars. */
export function paintBrowser() {
  const choice = theme();
  const dark = choice === "dark" || (choice === "auto" && system.matches);
  document.querySelector('meta[name="theme-color"]')?.setAttribute("content", dark ? COLORS.dark : COLORS.light);
}

system.addEventListener("change", paintBrowser);
