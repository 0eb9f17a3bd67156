// Dates, durations and sizes as people say them, in the browser's language.

const DAY = 86_400_000;
const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", year: "numeric" });
const longDay = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long", year: "numeric" });
const shortDay = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "short" });
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

/** @param {Date} date */
const midnight = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();

/** Whole calendar days from `a` to `b`. @param {string} a @param {string} b */
export function daysBetween(a, b) {
  return Math.round((midnight(new Date(b)) - midnight(new Date(a))) / DAY);
}

/** `14:05` @param {string} iso */
export const clock = (iso) => time.format(new Date(iso));
/** `3 March 2026` @param {string} iso */
export const onDay = (iso) => day.format(new Date(iso));
/** `Tuesday, 3 March 2026 at 14:05` @param {string} iso */
export const exactly = (iso) => full.format(new Date(iso));

/** `Today`, `Yesterday`, or the day with its weekday. @param {string} iso */
export function dayName(iso) {
  const days = daysBetween(iso, new Date().toISOString());
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  return longDay.format(new Date(iso));
}

/** `today`, `3 weeks ago` @param {string} iso */
export function ago(iso) {
  const days = daysBetween(iso, new Date().toISOString());
  if (days < 7) return relative.format(-days, "day");
  if (days < 60) return relative.format(-Math.round(days / 7), "week");
  if (days < 730) return relative.format(-Math.round(days / 30.44), "month");
  return relative.format(-Math.round(days / 365.25), "year");
}

/** `3 weeks later`, or "" within a week. @param {number} days */
export function later(days) {
  if (days < 7) return "";
  const [count, unit] = days < 60 ? [Math.round(days / 7), "week"] : days < 730 ? [Math.round(days / 30.44), "month"] : [Math.round(days / 365.25), "year"];
  return `${plural(count, unit)} later`;
}

/** For lists: the time today, else a short day. @param {string} iso */
export function brief(iso) {
  const days = daysBetween(iso, new Date().toISOString());
  if (days === 0) return clock(iso);
  if (days === 1) return "Yesterday";
  if (days < 330) return shortDay.format(new Date(iso));
  return String(new Date(iso).getFullYear());
}

/** `0.8 s`, `1 min 5 s` @param {number} ms */
export function duration(ms) {
  if (ms < 950) return `${Math.max(1, Math.round(ms))} ms`;
  const seconds = ms / 1000;
  if (seconds < 59.5) return `${seconds.toFixed(seconds < 9.95 ? 1 : 0)} s`;
  return `${Math.floor(Math.round(seconds) / 60)} min ${Math.round(seconds) % 60} s`;
}

/** `1 message`, `3 messages` @param {number} count @param {string} noun */
export const plural = (count, noun) => `${count.toLocaleString()} ${noun}${count === 1 ? "" : "s"}`;

/** Size in UTF-8. @param {string} text */
export const byteLength = (text) => new TextEncoder().encode(text).length;

/** One or two letters that stand for a name: whole graphemes, so emoji and accents survive. @param {string} name */
export function monogram(name) {
  const words = name.trim().split(/\s+/u).filter(Boolean);
  const first = (/** @type {string} */ word) => graphemes(word).find((one) => /[\p{L}\p{N}\p{Extended_Pictographic}]/u.test(one)) ?? "";
  const letters = words.length > 1 ? [first(words[0]), first(words[words.length - 1])] : [first(words[0] ?? "")];
  return letters.join("").toLocaleUpperCase() || "·";
}

/** @param {string} text */
function graphemes(text) {
  if (!("Segmenter" in Intl)) return [...text];
  return [...new Intl.Segmenter(undefined, { granularity: "grapheme" }).segment(text.slice(0, 64))].map((one) => one.segment);
}

/** A stable number in [0, count) for a string. @param {string} text @param {number} count */
export function bucket(text, count) {
  let hash = 2_166_136_261;
  for (const char of text) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 16_777_619);
  return (hash >>> 0) % count;
}

const spending = (/** @type {number} */ digits) => new Intl.NumberFormat(undefined, { style: "currency", currency: "USD", minimumFractionDigits: 2, maximumFractionDigits: digits });
const [cents, fractions] = [spending(2), spending(6)];
const dayOfUtc = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", timeZone: "UTC" });

/** Micro-dollars as `$1.25`, and what is less than a cent as exactly as it is counted. @param {number} micro */
export const money = (micro) => (micro > 0 && micro < 10_000 ? fractions : cents).format(micro / 1_000_000);

/** `12 %` of a whole. @param {number} part @param {number} whole */
export const percent = (part, whole) => (whole ? part / whole : 0).toLocaleString(undefined, { style: "percent", maximumFractionDigits: 1 });

/** A day of UTC, `3 Mar`. @param {string} day  `2026-03-03` */
export const utcDay = (day) => dayOfUtc.format(new Date(`${day}T00:00:00Z`));

/** All days from one to another. @param {string} first @param {string} last @returns {string[]} */
export function everyDay(first, last) {
  const days = [];
  for (let at = Date.parse(`${first}T00:00:00Z`); at <= Date.parse(`${last}T00:00:00Z`); at += DAY) days.push(new Date(at).toISOString().slice(0, 10));
  return days;
}
