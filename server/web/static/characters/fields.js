// What a character card holds, in the order a writer thinks of it.

/**
 * @typedef {object} Field
 * @property {string} name
 * @property {string} label
 * @property {string} [hint]
 * @property {number} [rows]   more than one makes it a text area
 * @property {boolean} [required]
 */

/** @type {{title: string, hint?: string, folded?: boolean, fields: Field[]}[]} */
export const SECTIONS = [
  {
    title: "Who they are",
    fields: [
      { name: "name", label: "Name", required: true },
      { name: "nickname", label: "Called", hint: "What they are called in conversation, where it is not the name." },
      { name: "description", label: "Description", rows: 8, hint: "Looks, history, habits: whatever should always be known. {{char}} and {{user}} stand for the two names." },
      { name: "personality", label: "Personality", rows: 3, hint: "A few words or sentences." },
      { name: "scenario", label: "Scenario", rows: 3, hint: "Where and how you meet." },
    ],
  },
  {
    title: "How it begins",
    fields: [{ name: "first_mes", label: "First message", rows: 6, hint: "What they say before you have said anything. It sets the tone and the length of their replies." }],
  },
  {
    title: "How they speak",
    fields: [{ name: "mes_example", label: "Example dialogue", rows: 6, hint: "Begin each example with <START>, each line with {{user}}: or {{char}}:" }],
  },
  {
    title: "Instructions to the model",
    folded: true,
    hint: "They rank below what whoever runs this server has laid down.",
    fields: [
      { name: "system_prompt", label: "System prompt", rows: 4, hint: "{{original}} stands for the server's own." },
      { name: "post_history_instructions", label: "Last word", rows: 3, hint: "Repeated after the conversation, just before each reply." },
    ],
  },
  {
    title: "About the card",
    folded: true,
    fields: [
      { name: "creator_notes", label: "Notes", rows: 3, hint: "For people, never shown to the model." },
      { name: "creator", label: "Made by" },
      { name: "character_version", label: "Version" },
    ],
  },
];
