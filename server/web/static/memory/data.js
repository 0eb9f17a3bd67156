// What belongs to the person: to take along, to clear, to delete.

import { confirmDialog, openDialog } from "../dialog.js";
import { h, saveFile, uid } from "../dom.js";
import { plural } from "../format.js";
import { icon } from "../icons.js";
import { attempt, toast } from "../toast.js";

export class DataPanel {
  /** @type {import("../chat/conversation.js").Conversation|null} */
  #conversation = null;
  #clear;

  /** @param {import("../app.js").App} app */
  constructor(app) {
    this.app = app;
    const button = (/** @type {string} */ name, /** @type {string} */ label, /** @type {() => void} */ run, kind = "") => h("button", { type: "button", class: `button button--small ${kind}`, onclick: run }, icon(name), label);
    this.#clear = h("h3", { class: "panel__title" }, "");
    this.el = h(
      "div",
      { class: "panel" },
      h("section", { class: "stack" }, h("h3", { class: "panel__title" }, "Take it along"), h("p", { class: "hint" }, "Messages, versions, pins, notes and summaries, as JSON."), h("p", { class: "row" }, button("download", "This character", () => void this.#export(false)), button("download", "Everything of mine", () => void this.#export(true)))),
      h("section", { class: "stack" }, this.#clear, h("p", { class: "hint" }, "The conversation and everything remembered of it. The character itself stays."), h("p", { class: "row" }, button("trash", "Clear this memory", () => void this.#clearOne(), "button--danger-quiet"))),
      h("section", { class: "stack" }, h("h3", { class: "panel__title" }, "Delete everything of mine"), h("p", { class: "hint" }, "All conversations and memories with every character, down to the copies on the disk."), h("p", { class: "row" }, button("trash", "Delete everything", () => this.#deleteAll(), "button--danger-quiet"))),
    );
  }

  /** @param {import("../chat/conversation.js").Conversation} conversation */
  show(conversation) {
    this.#conversation = conversation;
    this.#clear.textContent = `Clear what ${conversation.character.name} remembers`;
  }

  /** @param {boolean} all */
  async #export(all) {
    const conversation = this.#conversation;
    if (!conversation) return;
    await attempt(async () => {
      const { blob, name } = all ? await this.app.api.exportAll() : await this.app.api.exportMemory(conversation.id);
      saveFile(blob, name);
    });
  }

  async #clearOne() {
    const conversation = this.#conversation;
    if (!conversation) return;
    const { name } = conversation.character;
    await confirmDialog({
      title: `Clear what ${name} remembers?`,
      text: `Everything you and ${name} said to each other will be gone: the conversation, summaries, notes and pins. This cannot be undone.`,
      confirm: "Clear",
      run: async () => {
        conversation.stop();
        await this.app.api.clearMemory(conversation.id);
        await conversation.startAgain();
        toast("Cleared.");
      },
    });
  }

  #deleteAll() {
    const { app } = this;
    const id = uid("word");
    const word = h("input", { id, class: "input", type: "text", autocomplete: "off", autocapitalize: "off", spellcheck: "false" });
    const account = h("input", { type: "checkbox" });
    const owner = app.me.role === "owner";
    openDialog({
      title: "Delete everything of yours?",
      body: [
        h("p", null, "All your conversations and memories, with every character. Nobody can bring them back. Take your export first if you may want them."),
        !owner && h("label", { class: "check" }, account, "My account and the characters I made, too: I will be signed out"),
        h("label", { class: "label", for: id }, "Write “delete” to go on"),
        word,
      ],
      actions: [
        { label: "Cancel", kind: "quiet", focus: true },
        {
          label: "Delete everything", kind: "danger",
          run: async () => {
            if (word.value.trim().toLowerCase() !== "delete") {
              word.setAttribute("aria-invalid", "true");
              word.focus();
              return false;
            }
            const { deleted, hosts } = await app.api.deleteAll(account.checked);
            if (account.checked && !owner) {
              await app.signOut();
              if (hosts.length) toast(`Deleted here. Still to be deleted where pictures are made: ${hosts.map((/** @type {{ why: string }} */ one) => one.why).join(" ")}`);
              return true;
            }
            toast(`Deleted: ${plural(deleted.messages, "message")} in ${plural(deleted.conversations, "conversation")}.`);
            await app.afterDeletion();
            return true;
          },
        },
      ],
    });
  }
}
