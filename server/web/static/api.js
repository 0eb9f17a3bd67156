// Every request the page makes. Errors arrive as ApiError (the server said no) or NetworkError (nobody answered).

import { readEvents } from "./sse.js";

/** The server answered with an error; `message` is a sentence for a person. */
export class ApiError extends Error {
  /** @param {number} status @param {string} code @param {string} message @param {Record<string, any>} [details] */
  constructor(status, code, message, details = {}) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.details = details;
  }
}

/** The server could not be reached, or the connection broke. */
export class NetworkError extends Error {
  constructor() {
    super(
      navigator.onLine
        ? "The server cannot be reached. Check that it is running, then try again."
        : "You are offline. This will work again when the connection is back.",
    );
    this.name = "NetworkError";
  }
}

/** @param {unknown} error  @returns {string} a sentence to show */
export function sentence(error) {
  if (error instanceof ApiError || error instanceof NetworkError) return error.message;
  return "Something in this page went wrong. Reload it, and tell whoever runs the server if it happens again.";
}

/** @param {unknown} error */
export function wasAborted(error) {
  return error instanceof DOMException && error.name === "AbortError";
}

/** @param {...unknown} parts  ids, each escaped as one path segment */
const path = (...parts) => "/v1/" + parts.map((part) => encodeURIComponent(String(part))).join("/");

const PAGE = "200";
const MOST = 2_000; // of a list that is shown whole

export class Api {
  /** Called when the session is gone. @type {() => void} */
  onSignedOut = () => undefined;

  /**
   * @param {string} method
   * @param {string} url
   * @param {{json?: unknown, body?: BodyInit, headers?: Record<string, string>, signal?: AbortSignal, seconds?: number, quiet?: boolean}} [options]
   * @returns {Promise<Response>} an answer with a 2xx status
   */
  async fetch(method, url, { json, body, headers = {}, signal, seconds = 60, quiet = false } = {}) {
    /** @type {Record<string, string>} */
    const sent = { Accept: "application/json", ...headers };
    if (json !== undefined) {
      body = JSON.stringify(json);
      sent["Content-Type"] = "application/json";
    }
    const limits = [signal, seconds ? AbortSignal.timeout(seconds * 1000) : undefined].filter((one) => one !== undefined);
    let response;
    try {
      response = await fetch(url, {
        method,
        headers: sent,
        body,
        signal: limits.length ? AbortSignal.any(limits) : undefined,
        credentials: "same-origin",
        cache: "no-store",
        redirect: "error",
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new NetworkError();
    }
    if (response.ok) return response;
    const error = await readError(response);
    if (error.status === 401 && !quiet) this.onSignedOut();
    throw error;
  }

  /** @param {string} method @param {string} url @param {Parameters<Api["fetch"]>[2]} [options] @returns {Promise<any>} */
  async json(method, url, options) {
    const response = await this.fetch(method, url, options);
    if (response.status === 204) return null;
    try {
      return await response.json();
    } catch {
      throw new NetworkError();
    }
  }

  /** A list that comes in pages, whole, but not without end. @param {string} url @param {Record<string, string>} query @param {string} name  the list's, in a page @returns {Promise<any[]>} */
  async #all(url, query, name) {
    const all = [];
    for (let after = null; all.length < MOST; ) {
      const page = await this.json("GET", `${url}?${new URLSearchParams({ ...query, limit: PAGE, ...(after ? { after } : {}) })}`);
      all.push(...page[name]);
      after = page.next;
      if (!after) break;
    }
    return all;
  }

  /** @param {string} url @returns {Promise<{blob: Blob, name: string}>} */
  async download(url) {
    const response = await this.fetch("GET", url, { headers: { Accept: "*/*" }, seconds: 300 });
    const named = /filename\*?=(?:UTF-8'')?"?([^";]+)/i.exec(response.headers.get("Content-Disposition") ?? "");
    let name = named?.[1] ?? "vestige.json";
    try {
      name = decodeURIComponent(name);
    } catch {
      // A name with a stray % is good enough as it is.
    }
    try {
      return { blob: await response.blob(), name };
    } catch {
      throw new NetworkError();
    }
  }

  // who
  signIn = (/** @type {string} */ token) => this.json("POST", path("session"), { json: { token }, quiet: true });
  signOut = () => this.json("DELETE", path("session"));
  me = () => this.json("GET", path("me"), { quiet: true });
  setActive = (/** @type {string} */ id) => this.json("PUT", path("active-character"), { json: { character_id: id } });

  // characters
  characters = () => this.json("GET", path("characters"));
  character = (/** @type {string} */ id) => this.json("GET", path("characters", id));
  createCharacter = (/** @type {object} */ fields) => this.json("POST", path("characters"), { json: fields });
  updateCharacter = (/** @type {string} */ id, /** @type {object} */ fields, /** @type {string|null} */ etag) =>
    this.json("PUT", path("characters", id), { json: fields, headers: etag ? { "If-Match": quoted(etag) } : {} });
  deleteCharacter = (/** @type {string} */ id) => this.json("DELETE", path("characters", id));
  duplicateCharacter = (/** @type {string} */ id) => this.json("POST", path("characters", id, "duplicate"));
  importCharacter = (/** @type {Blob} */ file, /** @type {string} */ type) =>
    this.json("POST", path("characters", "import"), { body: file, headers: { "Content-Type": type } });
  setAvatar = (/** @type {string} */ id, /** @type {Blob} */ file) =>
    this.json("PUT", path("characters", id, "avatar"), { body: file, headers: { "Content-Type": file.type } });
  dropAvatar = (/** @type {string} */ id) => this.json("DELETE", path("characters", id, "avatar"));
  exportCharacter = (/** @type {string} */ id, /** @type {"json"|"png"} */ format) =>
    this.download(`${path("characters", id, "export")}?format=${format}`);

  // chat
  /** @param {string} c @param {{before?: string, limit?: number}} [page] */
  history = (c, { before, limit = 50 } = {}) => {
    const query = new URLSearchParams({ limit: String(limit) });
    if (before) query.set("before", before);
    return this.json("GET", `${path("chat", c, "messages")}?${query}`);
  };
  swipe = (/** @type {string} */ c, /** @type {string} */ id, /** @type {number} */ index) =>
    this.json("POST", path("chat", c, "swipe"), { json: { message_id: id, index } });
  chooseGreeting = (/** @type {string} */ c, /** @type {number} */ index) =>
    this.json("POST", path("chat", c, "greeting"), { json: { index } });
  editMessage = (/** @type {string} */ c, /** @type {string} */ id, /** @type {string} */ text) =>
    this.json("PATCH", path("chat", c, "messages", id), { json: { text } });
  deleteFrom = (/** @type {string} */ c, /** @type {string} */ id) => this.json("DELETE", path("chat", c, "messages", id));
  reset = (/** @type {string} */ c) => this.json("POST", path("chat", c, "reset"));
  exportChat = (/** @type {string} */ c) => this.download(path("chat", c, "export"));

  /**
   * Runs a turn and yields its events: accepted, token, done, error.
   * @param {string[]} segments  ["chat"], or ["chat", id, "regenerate"]
   * @param {object} body
   * @param {{signal: AbortSignal, key?: string}} options
   * @returns {AsyncGenerator<{event: string, data: any}, void, void>}
   */
  async *turn(segments, body, { signal, key }) {
    /** @type {Record<string, string>} */
    const headers = { Accept: "text/event-stream" };
    if (key) headers["Idempotency-Key"] = key;
    const response = await this.fetch("POST", path(...segments), { json: body, headers, signal, seconds: 0 });
    if (!response.body) throw new NetworkError();
    try {
      for await (const { event, data } of readEvents(response.body)) yield { event, data: JSON.parse(data) };
    } catch (error) {
      if (signal.aborted || !(error instanceof TypeError)) throw error;
      throw new NetworkError();
    }
  }

  // memory
  summary = (/** @type {string} */ c) => this.json("GET", path("memory", c, "summary"));
  setSummary = (/** @type {string} */ c, /** @type {string} */ text) => this.json("PUT", path("memory", c, "summary"), { json: { text } });
  deleteSummary = (/** @type {string} */ c) => this.json("DELETE", path("memory", c, "summary"));
  search = (/** @type {string} */ c, /** @type {string} */ q) =>
    this.json("GET", `${path("memory", c, "search")}?${new URLSearchParams({ q })}`);
  windows = (/** @type {string} */ c, /** @type {number|null} */ before) =>
    this.json("GET", `${path("memory", c, "windows")}?limit=20${before === null ? "" : `&before=${before}`}`);
  setFacts = (/** @type {string} */ c, /** @type {string} */ id, /** @type {string[]} */ facts) =>
    this.json("PUT", path("memory", c, "windows", id, "facts"), { json: { facts } });
  pins = (/** @type {string} */ c) => this.json("GET", path("memory", c, "pins"));
  pin = (/** @type {string} */ c, /** @type {{text?: string, message_id?: string}} */ what) =>
    this.json("POST", path("memory", c, "pins"), { json: what });
  editPin = (/** @type {string} */ c, /** @type {string} */ id, /** @type {string} */ text) =>
    this.json("PATCH", path("memory", c, "pins", id), { json: { text } });
  unpin = (/** @type {string} */ c, /** @type {string} */ id) => this.json("DELETE", path("memory", c, "pins", id));
  forget = (/** @type {string} */ c, /** @type {string[]} */ ids) =>
    this.json("POST", path("memory", c, "forget"), { json: { message_ids: ids } });
  exportMemory = (/** @type {string} */ c) => this.download(path("memory", c, "export"));
  clearMemory = (/** @type {string} */ c) => this.json("DELETE", path("memory", c), { seconds: 300 });
  exportAll = () => this.download(path("memory", "export"));
  deleteAll = (/** @type {boolean} */ account) =>
    this.json("DELETE", path("memory") + (account ? "?account=true" : ""), { seconds: 300 });

  // what can be worn
  /** @param {Record<string, string>} query @returns {Promise<import("../types.js").Item[]>} */
  items = (query = {}) => this.#all(path("items"), query, "items");
  addItem = (/** @type {object} */ fields) => this.json("POST", path("items"), { json: fields });
  changeItem = (/** @type {string} */ id, /** @type {object} */ fields, /** @type {string|undefined} */ etag) =>
    this.json("PATCH", path("items", id), { json: fields, headers: etag ? { "If-Match": quoted(etag) } : {} });
  deleteItem = (/** @type {string} */ id) => this.json("DELETE", path("items", id));
  /** @returns {Promise<import("../types.js").Item[]>} */
  inventory = async () => (await this.#all(path("inventory"), {}, "owned")).map((one) => one.item);
  grant = (/** @type {object} */ fields) => this.json("POST", path("inventory"), { json: fields });
  /** @returns {Promise<import("../types.js").Reference>} */
  addReference = (/** @type {Blob} */ file) => this.json("POST", path("references"), { body: file, headers: { "Content-Type": file.type }, seconds: 120 });
  /** @returns {Promise<import("../types.js").Reference>} */
  fetchReference = (/** @type {string} */ url) => this.json("POST", path("references"), { json: { url }, seconds: 120 });
  /** @returns {Promise<{item: import("../types.js").Item|null}>} */
  worn = (/** @type {string} */ c) => this.json("GET", path("characters", c, "worn"));
  /** @returns {Promise<{item: import("../types.js").Item|null}>} */
  wear = (/** @type {string} */ c, /** @type {string} */ item) => this.json("PUT", path("characters", c, "worn"), { json: { item_id: item } });
  takeOff = (/** @type {string} */ c) => this.json("DELETE", path("characters", c, "worn"));

  // pictures
  /** @returns {Promise<{asked: import("../types.js").Message|null, message: import("../types.js").Message|null}>} */
  askPicture = (/** @type {string} */ c, /** @type {object} */ ask, /** @type {string} */ key) =>
    this.json("POST", path("chat", c, "pictures"), { json: ask, headers: { "Idempotency-Key": key } });
  /** @returns {Promise<{asked: null, message: import("../types.js").Message|null}>} */
  pictureAgain = (/** @type {string} */ c, /** @type {string} */ id) => this.json("POST", path("chat", c, "pictures", id, "again"));
  /** @returns {Promise<import("../types.js").PictureState[]>} */
  previews = async (/** @type {string} */ c) => (await this.#all(path("previews"), { character: c }, "previews")).map(pictureState);
  /** @returns {Promise<import("../types.js").PictureState>} */
  askPreview = async (/** @type {string} */ c, /** @type {string} */ item) =>
    pictureState(await this.json("POST", path("previews"), { json: { character_id: c, item_id: item } }));
  /** @returns {Promise<import("../types.js").PictureState>} */
  preview = async (/** @type {string} */ key) => pictureState(await this.json("GET", path("previews", key)));
  /** @returns {Promise<import("../types.js").Job>} */
  job = (/** @type {string} */ id) => this.json("GET", path("jobs", id));

  /** One does not want it any more. Whoever else waits for it keeps it. @returns {Promise<import("../types.js").Job>} */
  cancelJob = (/** @type {string} */ id) => this.json("DELETE", path("jobs", id));

  /** What happens to a render: job, frame, then done, failed or cancelled. @param {string} id @param {AbortSignal} signal */
  async *jobEvents(id, signal) {
    const response = await this.fetch("GET", path("jobs", id, "events"), { headers: { Accept: "text/event-stream" }, signal, seconds: 0 });
    if (!response.body) throw new NetworkError();
    for await (const { event, data } of readEvents(response.body)) yield { event, data: JSON.parse(data) };
  }

  // money
  usage = () => this.json("GET", path("usage"));
  adminUsage = () => this.json("GET", path("admin", "usage"));
  usageTable = () => this.download(path("admin", "usage.csv"));
  routingReport = () => this.json("GET", path("admin", "routing"));

  // admin
  users = () => this.json("GET", path("admin", "users"));
  addUser = (/** @type {object} */ fields) => this.json("POST", path("admin", "users"), { json: fields });
  newLink = (/** @type {string} */ id) => this.json("POST", path("admin", "users", id, "link"));
  changeUser = (/** @type {string} */ id, /** @type {object} */ fields) => this.json("PATCH", path("admin", "users", id), { json: fields });
  deleteUser = (/** @type {string} */ id) => this.json("DELETE", path("admin", "users", id), { seconds: 300 });
  keys = () => this.json("GET", path("admin", "keys"));
  addKey = (/** @type {object} */ fields) => this.json("POST", path("admin", "keys"), { json: fields });
  revokeKey = (/** @type {string} */ id) => this.json("DELETE", path("admin", "keys", id));
  hosts = () => this.json("GET", path("admin", "hosts"));
  drain = (/** @type {string} */ name, /** @type {boolean} */ on) => this.json("POST", path("admin", "hosts", name, "drain"), { json: { on } });
  jobs = (/** @type {string} */ state) => this.json("GET", `${path("admin", "jobs")}?${new URLSearchParams({ state })}`);
  endJob = (/** @type {string} */ id) => this.json("DELETE", path("admin", "jobs", id));
  replayJob = (/** @type {string} */ id) => this.json("POST", path("admin", "jobs", id, "replay"));
  prerender = (/** @type {object} */ what, /** @type {boolean} */ estimate) => this.json("POST", `${path("admin", "prerender")}?estimate=${estimate}`, { json: what });
  loras = () => this.json("GET", path("admin", "loras"));
  lora = (/** @type {string} */ name) => this.json("GET", path("admin", "loras", name));
  promoteLora = (/** @type {string} */ name, /** @type {number} */ version, /** @type {number} */ seen) =>
    this.json("PUT", path("admin", "loras", name, "live"), { json: { version, if_live: seen } });
  rollbackLora = (/** @type {string} */ name, /** @type {number} */ seen) => this.json("POST", path("admin", "loras", name, "rollback"), { json: { if_live: seen } });
  askGrid = (/** @type {string} */ name, /** @type {number} */ version, /** @type {number} */ against) =>
    this.json("POST", path("admin", "loras", name, "versions", version, "grids"), { json: { against }, seconds: 120 });
  grid = (/** @type {string} */ name, /** @type {number} */ version, /** @type {string} */ id) => this.json("GET", path("admin", "loras", name, "versions", version, "grids", id));
  /** @returns {Promise<import("../types.js").Look[]>} */
  looks = () => this.#all(path("admin", "looks"), {}, "looks");
  setLook = (/** @type {string} */ c, /** @type {object} */ look, /** @type {string|undefined} */ etag) =>
    this.json("PUT", path("characters", c, "look"), { json: look, headers: etag ? { "If-Match": quoted(etag) } : {} });
  previewRecord = (/** @type {string} */ key) => this.json("GET", path("previews", key, "record"));
}

/** A preview as the page shows one: how its render stands is the picture's own. @param {any} preview @returns {import("../types.js").PictureState} */
const pictureState = ({ job, ...preview }) => ({
  ...preview, job_id: job?.id ?? preview.job_id ?? null, share: job?.share ?? 0, position: job?.position ?? null, waiting: job?.waiting ?? null,
  error: job?.error ?? preview.error ?? null,
});

/** @param {string} etag */
const quoted = (etag) => (etag.startsWith('"') ? etag : `"${etag}"`);

/** @param {Response} response @returns {Promise<ApiError>} */
async function readError(response) {
  const fallback = `The server answered with status ${response.status}. Try again in a moment.`;
  try {
    const { error } = await response.json();
    return new ApiError(response.status, error.code ?? "unknown", error.message || fallback, error.details ?? {});
  } catch {
    return new ApiError(response.status, "unknown", fallback);
  }
}
