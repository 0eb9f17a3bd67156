// Follows renders: a stream for each of a few, and a look now and then at the others.

import { wasAborted } from "../api.js";

const STREAMS = 3; // a browser opens six connections to one server, and the chat needs some of them
const LOOK_MS = 4_000;
const AT_ONCE = 12;
const AGAIN_MS = [1_000, 2_000, 5_000, 15_000, 30_000];

/**
 * @typedef {import("../../types.js").Job} Job
 * @typedef {{job?: (job: Job) => void, frame?: (url: string) => void, end: (job: Job|null) => void}} Listener
 *   `end` comes once; null: nobody knows this render any more
 */

export class Jobs {
  /** @type {Map<string, Set<Listener>>} */
  #wanted = new Map();
  /** @type {Map<string, AbortController>} */
  #streams = new Map();
  /** @type {ReturnType<typeof setInterval>|undefined} */
  #timer;

  /** @param {import("../api.js").Api} api */
  constructor(api) {
    this.api = api;
  }

  /** @param {string} id @param {Listener} listener @returns {() => void} stops listening */
  follow(id, listener) {
    const listeners = this.#wanted.get(id) ?? new Set();
    listeners.add(listener);
    this.#wanted.set(id, listeners);
    this.#spread();
    return () => {
      listeners.delete(listener);
      if (!listeners.size && this.#wanted.get(id) === listeners) this.#leave(id);
    };
  }

  close() {
    for (const id of [...this.#wanted.keys()]) this.#leave(id);
  }

  /** @param {string} id */
  #leave(id) {
    this.#wanted.delete(id);
    this.#streams.get(id)?.abort();
    this.#streams.delete(id);
    this.#spread();
  }

  /** Gives free streams to those that have none, and looks at the rest from time to time. */
  #spread() {
    for (const id of this.#wanted.keys()) {
      if (this.#streams.size >= STREAMS) break;
      if (!this.#streams.has(id)) void this.#stream(id);
    }
    const rest = this.#wanted.size > this.#streams.size;
    if (rest && !this.#timer) this.#timer = setInterval(() => void this.#look(), LOOK_MS);
    if (!rest) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
  }

  /** @param {string} id */
  async #stream(id) {
    const control = new AbortController();
    this.#streams.set(id, control);
    for (let tries = 0; !control.signal.aborted; tries += 1) {
      try {
        /** @type {{job: Job}|null} */
        let over = null;
        for await (const { event, data } of this.api.jobEvents(id, control.signal)) {
          tries = 0;
          if (event === "frame") this.#tell(id, (one) => one.frame?.(`data:image/jpeg;base64,${data.image}`));
          else if (event === "job") this.#tell(id, (one) => one.job?.(data.job));
          else if (["done", "failed", "cancelled"].includes(event)) {
            over = data;
            break; // closes this stream before another takes its place
          }
        }
        if (over) {
          this.#end(id, over.job);
          return;
        }
      } catch (error) {
        if (wasAborted(error)) return;
        if (isGone(error)) {
          this.#end(id, null);
          return;
        }
      }
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS[Math.min(tries, AGAIN_MS.length - 1)]));
    }
  }

  async #look() {
    const waiting = [...this.#wanted.keys()].filter((id) => !this.#streams.has(id)).slice(0, AT_ONCE);
    await Promise.all(
      waiting.map(async (id) => {
        try {
          const job = await this.api.job(id);
          if (isOver(job)) this.#end(id, job);
          else this.#tell(id, (one) => one.job?.(job));
        } catch (error) {
          if (isGone(error)) this.#end(id, null);
        }
      }),
    );
  }

  /** @param {string} id @param {(listener: Listener) => void} tell */
  #tell(id, tell) {
    for (const listener of [...(this.#wanted.get(id) ?? [])]) tell(listener);
  }

  /** @param {string} id @param {Job|null} job */
  #end(id, job) {
    const listeners = [...(this.#wanted.get(id) ?? [])];
    this.#leave(id);
    for (const listener of listeners) listener.end(job);
  }
}

/** @param {Job} job */
const isOver = (job) => ["done", "failed", "cancelled", "dead"].includes(job.state);

/** @param {unknown} error */
const isGone = (error) => error instanceof Error && "status" in error && error.status === 404;
