// Server-sent events over fetch: EventSource can neither POST nor send headers.
// https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation

/** @typedef {{event: string, data: string}} ServerEvent */

/**
 * Takes text in pieces of any size, also cut inside a line or between CR and LF, and gives whole events.
 */
export class EventParser {
  #rest = "";
  #event = "";
  /** @type {string[]} */
  #data = [];
  #first = true;

  /** @param {string} text @returns {ServerEvent[]} */
  push(text) {
    if (this.#first && text) {
      this.#first = false;
      if (text.charCodeAt(0) === 0xfeff) text = text.slice(1);
    }
    /** @type {ServerEvent[]} */
    const events = [];
    const buffer = this.#rest + text;
    let start = 0;
    for (;;) {
      const end = nextBreak(buffer, start);
      if (end === -1) break;
      const next = buffer[end] === "\r" && buffer[end + 1] === "\n" ? end + 2 : end + 1;
      // A CR at the very end may be half of a CRLF: wait for the next piece.
      if (buffer[end] === "\r" && end === buffer.length - 1) break;
      const done = this.#line(buffer.slice(start, end));
      if (done) events.push(done);
      start = next;
    }
    this.#rest = buffer.slice(start);
    return events;
  }

  /** @param {string} line @returns {ServerEvent|null} */
  #line(line) {
    if (line === "") {
      const event = this.#data.length ? { event: this.#event || "message", data: this.#data.join("\n") } : null;
      this.#event = "";
      this.#data = [];
      return event;
    }
    if (line.startsWith(":")) return null;
    const colon = line.indexOf(":");
    const field = colon === -1 ? line : line.slice(0, colon);
    let value = colon === -1 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (field === "event") this.#event = value;
    else if (field === "data") this.#data.push(value);
    return null;
  }
}

/** @param {string} text @param {number} from */
function nextBreak(text, from) {
  for (let i = from; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (code === 10 || code === 13) return i;
  }
  return -1;
}

/**
 * The events of a response, until it ends.
 * @param {ReadableStream<Uint8Array>} body
 * @param {{idleMs?: number}} [options] without a byte (pings count) for that long the stream is taken for dead
 * @returns {AsyncGenerator<ServerEvent, void, void>}
 */
export async function* readEvents(body, { idleMs = 45_000 } = {}) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parser = new EventParser();
  try {
    for (;;) {
      const { done, value } = await within(reader.read(), idleMs);
      const text = decoder.decode(value, { stream: !done });
      yield* parser.push(text);
      if (done) return;
    }
  } finally {
    // Whoever stops listening early also stops the server from sending. Cancelling a stream that broke rejects.
    await reader.cancel().catch(() => undefined);
  }
}

/**
 * @template T
 * @param {Promise<T>} promise
 * @param {number} ms
 * @returns {Promise<T>}
 */
function within(promise, ms) {
  /** @type {ReturnType<typeof setTimeout>} */
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new TypeError("the stream went silent")), ms);
  });
  return Promise.race([promise, /** @type {Promise<never>} */ (late)]).finally(() => clearTimeout(timer));
}
