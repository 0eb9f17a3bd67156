// One turn on the wire: sends it, follows the events, and says how it ended.

import { ApiError, NetworkError, wasAborted } from "../api.js";

/**
 * @typedef {object} Outcome
 * @property {"done"|"stopped"|"error"|"lost"} end
 *   done: the reply is whole. stopped: this page stopped it. error: the server said why not. lost: the connection went.
 * @property {boolean} accepted        the server has the message
 * @property {import("../../types.js").Done} [done]
 * @property {import("../../types.js").Message|null} [message]  what the server kept, with an error
 * @property {Error} [error]
 *
 * @typedef {object} Follow
 * @property {(event: {message?: import("../../types.js").Message, reply_id?: string, replayed?: boolean}) => void} accepted
 * @property {(text: string) => void} token
 */

/**
 * @param {AsyncIterable<{event: string, data: any}>} events
 * @param {Follow} follow
 * @param {AbortSignal} signal
 * @returns {Promise<Outcome>} never rejects: every way a turn can end is an outcome
 */
export async function followTurn(events, follow, signal) {
  let accepted = false;
  try {
    for await (const { event, data } of events) {
      if (event === "accepted") {
        accepted = true;
        follow.accepted(data);
      } else if (event === "token") {
        follow.token(data.text);
      } else if (event === "done") {
        return { end: "done", accepted: true, done: data };
      } else if (event === "error") {
        const { code = "unknown", message, details } = data.error;
        return { end: "error", accepted, message: data.message, error: new ApiError(200, code, message, details) };
      }
    }
    return { end: "lost", accepted, error: new NetworkError() };
  } catch (error) {
    if (signal.aborted || wasAborted(error)) return { end: "stopped", accepted };
    if (error instanceof ApiError) return { end: "error", accepted: accepted || Boolean(error.details.message_id), error };
    if (!(error instanceof NetworkError)) console.error(error);
    return { end: "lost", accepted, error: error instanceof NetworkError ? error : new NetworkError() };
  }
}
