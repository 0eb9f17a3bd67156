// What can be typed in place of a message.

/**
 * @typedef {{command: "picture", scene: string} | {command: "wear", title: string}} Command
 */

/** A command, or null for an ordinary message. @param {string} text @returns {Command|null} */
export function parseCommand(text) {
  const found = /^\/(picture|wear)(?:\s+([\s\S]*))?$/iu.exec(text.trim());
  if (!found) return null;
  const rest = (found[2] ?? "").trim();
  return found[1].toLowerCase() === "picture" ? { command: "picture", scene: rest } : { command: "wear", title: rest };
}

/**
 * The one thing that is meant: by its whole title, else by a part of it that no other title has.
 * @template {{title: string}} T
 * @param {T[]} items @param {string} title @returns {T|null}
 */
export function meant(items, title) {
  const wanted = title.toLocaleLowerCase();
  const exact = items.filter((one) => one.title.toLocaleLowerCase() === wanted);
  if (exact.length) return exact[0];
  const near = items.filter((one) => one.title.toLocaleLowerCase().includes(wanted));
  return near.length === 1 ? near[0] : null;
}
