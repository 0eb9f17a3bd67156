// A character's face, or a sewn label with its initials.

import { h } from "../dom.js";
import { bucket, monogram } from "../format.js";

const DYES = 8;

/**
 * @param {{id: string, name: string, avatar: string|null}} character
 * @param {"small"|"medium"|"large"} [size]
 * @returns {HTMLElement} decorative: the name stands beside it
 */
export function avatar(character, size = "medium") {
  const label = h("span", { class: `avatar avatar--${size} dye-${bucket(character.id || character.name, DYES)}`, "aria-hidden": "true" });
  const initials = h("span", { class: "avatar__letters" }, monogram(character.name));
  if (!character.avatar) {
    label.append(initials);
    return label;
  }
  const picture = h("img", { src: character.avatar, alt: "", class: "avatar__picture", decoding: "async", draggable: "false" });
  picture.addEventListener("error", () => picture.replaceWith(initials));
  label.append(picture);
  return label;
}
