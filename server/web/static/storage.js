// What the browser keeps. Storage can be full or forbidden; then the page simply remembers less.

/** @param {Storage} area */
const wrap = (area) => ({
  /** @param {string} key @returns {string|null} */
  get(key) {
    try {
      return area.getItem(`vestige.${key}`);
    } catch {
      return null;
    }
  },
  /** @param {string} key @param {string|null} value  null and "" remove it */
  set(key, value) {
    try {
      if (value) area.setItem(`vestige.${key}`, value);
      else area.removeItem(`vestige.${key}`);
    } catch {
      // Not remembered.
    }
  },
  /** Removes every key that begins with `prefix`. @param {string} prefix */
  drop(prefix) {
    try {
      for (const key of Object.keys(area)) if (key.startsWith(`vestige.${prefix}`)) area.removeItem(key);
    } catch {
      // Nothing was kept.
    }
  },
});

/** For this browser. */
export const local = wrap(storageArea("localStorage"));
/** For this tab. */
export const session = wrap(storageArea("sessionStorage"));

/** @param {"localStorage"|"sessionStorage"} name @returns {Storage} */
function storageArea(name) {
  try {
    return window[name];
  } catch {
    return /** @type {Storage} */ (/** @type {unknown} */ (null));
  }
}
