// How a picture stands, in plain words.

/** @typedef {import("../../types.js").PictureState} PictureState */

/** @param {PictureState} picture  @param {string} [none]  what to say of one that nobody asked for */
export function stateWords(picture, none = "Not made yet.") {
  switch (picture.state) {
    case "ready": return "";
    case "running": return `Being made: ${Math.round((picture.share ?? 0) * 100)} %`;
    case "failed": return picture.error?.message || "This picture could not be made.";
    case "waiting": return waitingWords(picture);
    default: return none;
  }
}

/** @param {PictureState} picture */
function waitingWords({ waiting, position }) {
  if (waiting === "no_host") return "No picture host is running right now. It will be made when one is back.";
  if (waiting === "no_worker") return "Nothing makes pictures on this server right now. It will be made when that runs again.";
  if (waiting === "retry") return "A try went wrong. It is tried again in a moment.";
  if (!position) return "Next in line.";
  return position === 1 ? "One picture before it in line." : `${position.toLocaleString()} pictures before it in line.`;
}

/** Whether somebody is at it. @param {{state: string}|null|undefined} picture */
export const onItsWay = (picture) => picture?.state === "waiting" || picture?.state === "running";
