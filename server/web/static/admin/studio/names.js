// What characters and items are called, for lists that know them by their ids.

/** Titles by item: the shop's, what it does not show, and one's own. @param {import("../../api.js").Api} api @returns {Promise<Map<string, string>>} */
export async function itemTitles(api) {
  const lists = await Promise.all([api.items(), api.items({ hidden: "true" }), api.items({ mine: "true" })]);
  return new Map(lists.flat().map((one) => [one.id, one.title]));
}
