// Where the page is, kept in the address after the #, so that Back works on a phone too.

/**
 * @typedef {{view: "home"} | {view: "chat", id: string, memory: boolean} | {view: "edit", id: string}
 *   | {view: "shop", id: string} | {view: "new"} | {view: "admin"} | {view: "routing"} | {view: "studio"}} Route
 */

/** @param {string} hash @returns {Route} */
export function parse(hash) {
  const [first, second, third] = hash.replace(/^#?\/?/, "").split("/").map(decode);
  if (first === "c" && second && (third === "edit" || third === "shop")) return { view: third, id: second };
  if (first === "c" && second) return { view: "chat", id: second, memory: third === "memory" };
  if (first === "new") return { view: "new" };
  if (first === "admin") return { view: "admin" };
  if (first === "routing") return { view: "routing" };
  if (first === "studio") return { view: "studio" };
  return { view: "home" };
}

/** @param {Route} route */
export function format(route) {
  switch (route.view) {
    case "chat": return `#/c/${encodeURIComponent(route.id)}${route.memory ? "/memory" : ""}`;
    case "edit":
    case "shop": return `#/c/${encodeURIComponent(route.id)}/${route.view}`;
    case "home": return "#/";
    default: return `#/${route.view}`;
  }
}

/** @param {string} part */
function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return "";
  }
}

export class Router {
  /** Asked before a page with unsaved work is left; true lets it go. @type {(() => Promise<boolean>)|null} */
  guard = null;
  #current = location.hash;
  #listener;

  /** @param {(route: Route) => void} listener */
  constructor(listener) {
    this.#listener = listener;
    const stop = new AbortController();
    addEventListener("popstate", () => void this.#moved(), { signal: stop.signal });
    this.close = () => stop.abort();
  }

  /** @returns {Route} */
  get route() {
    return parse(this.#current);
  }

  /** @param {Route} route @param {{replace?: boolean, state?: unknown}} [options] */
  async go(route, { replace = false, state = null } = {}) {
    const hash = format(route);
    if (hash === this.#current && hash === location.hash) return;
    if (this.guard && !(await this.guard())) return;
    this.guard = null;
    if (replace) history.replaceState(state, "", hash);
    else history.pushState(state, "", hash);
    this.#show();
  }

  /** Shows the route of the address as it is now. */
  start() {
    this.#show();
  }

  /** The address changed by hand or by Back. */
  async #moved() {
    if (location.hash === this.#current) return;
    if (this.guard) {
      const wanted = location.hash;
      history.pushState(null, "", this.#current);
      if (!(await this.guard())) return;
      this.guard = null;
      history.replaceState(null, "", wanted);
    }
    this.#show();
  }

  #show() {
    this.#current = location.hash;
    this.#listener(parse(this.#current));
  }
}
