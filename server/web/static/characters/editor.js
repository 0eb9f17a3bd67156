// Writing a character. Leaves only when the work is saved or given up; says when somebody else changed the card.

import { ApiError } from "../api.js";
import { confirmDialog, openDialog } from "../dialog.js";
import { autoGrow, fill, h, saveFile, uid } from "../dom.js";
import { icon } from "../icons.js";
import { menuButton } from "../menu.js";
import { attempt, toast, toastError } from "../toast.js";
import { avatar } from "./avatar.js";
import { SECTIONS } from "./fields.js";
import { GreetingList } from "./greetings.js";

const EMPTY = {
  id: "", name: "", nickname: "", notices: [], description: "", personality: "", scenario: "", first_mes: "", alternate_greetings: [], mes_example: "",
  system_prompt: "", post_history_instructions: "", creator_notes: "", creator: "", character_version: "", tags: [],
  avatar: null, shared: false, mine: true, editable: true, etag: "", created: "", modified: "",
};
const LARGEST_PICTURE = 10 * 1024 * 1024;

export class Editor {
  /** @type {Map<string, HTMLInputElement|HTMLTextAreaElement>} */
  #inputs = new Map();
  /** @type {File|null} */
  #picture = null;
  #pictureUrl = "";
  #saved = "";
  /** @type {Promise<void>|null} */
  #saving = null;
  #problem;
  #face;
  #state;
  #greetings;
  #tags;
  #shared;
  #save;
  #dropFace;

  /** @param {import("../app.js").App} app @param {string|null} id  null for a new character */
  static async open(app, id) {
    const character = id ? await app.api.character(id) : EMPTY;
    return new Editor(app, character);
  }

  /** @param {import("../app.js").App} app @param {import("../../types.js").Character} character */
  constructor(app, character) {
    this.app = app;
    this.character = character;
    this.fresh = !character.id;
    const locked = !character.editable;
    this.title = this.fresh ? "New character" : character.name;
    this.#problem = h("p", { class: "problem", role: "alert", hidden: true });
    this.#face = h("div", { class: "editor__face" });
    this.#dropFace = h("button", { type: "button", class: "link", onclick: () => void this.#removePicture() }, "Remove it");
    this.#state = h("p", { class: "editor__state", role: "status" });
    this.#greetings = new GreetingList(character.alternate_greetings, locked, () => this.#changed());
    this.#tags = h("input", { id: uid("tags"), class: "input", type: "text", dir: "auto", value: character.tags.join(", "), readOnly: locked, autocomplete: "off", oninput: () => this.#changed() });
    this.#shared = h("input", { type: "checkbox", checked: character.shared, disabled: locked, onchange: () => this.#changed() });
    this.#save = h("button", { type: "submit", class: "button button--primary" }, this.fresh ? "Create" : "Save");
    this.el = this.#build(locked);
    this.#paintFace();
    this.#saved = this.#snapshot();
    this.#changed();
  }

  /** @param {boolean} locked */
  #build(locked) {
    const { app, character } = this;
    const form = h(
      "form",
      { class: "editor", novalidate: true },
      h(
        "header",
        { class: "page-head" },
        h("button", { type: "button", class: "icon-button", "aria-label": this.fresh ? "Back" : "Back to the conversation", onclick: () => this.#leave() }, icon("back")),
        h("h1", { class: "page-head__title", dir: "auto" }, this.title),
        !this.fresh && this.#menu(),
        !locked && this.#save,
      ),
      h(
        "div",
        { class: "editor__scroll" },
        h(
          "div",
          { class: "editor__sheet" },
          locked && h("div", { class: "notice" }, h("p", null, "This character belongs to somebody else. You can make a copy of your own and change that."), h("button", { type: "button", class: "button button--small", onclick: () => void this.#duplicate() }, "Duplicate")),
          this.#problem,
          this.#faceRow(locked),
          SECTIONS.map((section) => this.#section(section, locked)),
          app.me.scopes.includes("admin") && h("label", { class: "check" }, this.#shared, h("span", null, "Everyone on this server can talk to this character", h("span", { class: "hint" }, "Conversations and memories stay each person's own."))),
          this.#state,
        ),
      ),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#submit();
    });
    form.addEventListener("keydown", (event) => {
      if (event.key.toLowerCase() === "s" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        void this.#submit();
      }
    });
    if (!character.id) requestAnimationFrame(() => this.#inputs.get("name")?.focus());
    return form;
  }

  /** @param {boolean} locked */
  #faceRow(locked) {
    const picker = h("input", { type: "file", accept: "image/png,image/jpeg,image/webp", class: "sr-only", tabindex: "-1", "aria-label": "Picture file" });
    picker.addEventListener("change", () => {
      const file = picker.files?.[0];
      picker.value = "";
      if (file) this.#choosePicture(file);
    });
    return h(
      "div",
      { class: "editor__top" },
      this.#face,
      !locked && h("div", null, h("p", { class: "row" }, h("button", { type: "button", class: "button button--small", onclick: () => picker.click() }, icon("upload"), "Choose a picture"), this.#dropFace), h("p", { class: "hint" }, "PNG, JPEG or WebP, at most 10 MB"), picker),
    );
  }

  /** @param {(typeof SECTIONS)[number]} section @param {boolean} locked */
  #section(section, locked) {
    const inside = [
      section.hint && h("p", { class: "hint" }, section.hint),
      section.fields.map((field) => this.#field(field, locked)),
      section.title === "Who they are" && h("div", { class: "field" }, h("label", { class: "label", for: this.#tags.id }, "Tags"), this.#tags, h("p", { class: "hint" }, "Parted by commas")),
      section.title === "How it begins" && this.#greetings.el,
    ];
    if (!section.folded) return h("fieldset", { class: "section" }, h("legend", { class: "section__title" }, section.title), inside);
    return h("details", { class: "section section--folded", open: section.fields.some((field) => this.#value(field.name)) }, h("summary", { class: "section__title" }, section.title, icon("fold")), inside);
  }

  /** @param {import("./fields.js").Field} field @param {boolean} locked */
  #field(field, locked) {
    const id = uid(field.name);
    const props = { id, class: "input", dir: "auto", value: this.#value(field.name), readOnly: locked, required: field.required, autocomplete: "off", "aria-describedby": field.hint ? `${id}-hint` : undefined, oninput: () => this.#changed() };
    const input = field.rows ? h("textarea", { ...props, rows: field.rows }) : h("input", { ...props, type: "text" });
    if (input instanceof HTMLTextAreaElement) autoGrow(input);
    this.#inputs.set(field.name, input);
    return h("div", { class: "field" }, h("label", { class: "label", for: id }, field.label), input, field.hint && h("p", { class: "hint", id: `${id}-hint` }, field.hint));
  }

  #menu() {
    const { app, character } = this;
    return menuButton({
      label: "Character",
      items: () => [
        { label: "Duplicate", icon: "copy", run: () => void this.#duplicate() },
        { label: "Export as JSON", icon: "download", run: () => void this.#export("json") },
        { label: "Export as PNG card", icon: "download", run: () => void this.#export("png") },
        character.editable && {
          label: "Delete", icon: "trash", danger: true,
          run: () => void confirmDialog({
            title: `Delete ${character.name}?`,
            text: "The character goes for good. What you said to each other stays in your memory until you clear it.",
            confirm: "Delete",
            run: async () => {
              await app.api.deleteCharacter(character.id);
              app.shelf.remove(character.id);
              app.forgetConversation(character.id);
              app.router.guard = null;
              if (app.me.active_character === character.id) app.me.active_character = null;
              await app.router.go({ view: "home" });
              toast(`${character.name} is gone.`);
            },
          }),
        },
      ],
    });
  }

  // State ----------------------------------------------------------------------------------------------------------

  /** @param {string} name @returns {string} */
  #value(name) {
    return String(Reflect.get(this.character, name) ?? "");
  }

  #fields() {
    /** @type {Record<string, unknown>} */
    const fields = Object.fromEntries([...this.#inputs].map(([name, input]) => [name, input.value]));
    fields.name = String(fields.name).trim();
    fields.alternate_greetings = this.#greetings.values();
    fields.tags = [...new Set(this.#tags.value.split(",").map((one) => one.trim()).filter(Boolean))];
    if (this.app.me.scopes.includes("admin")) fields.shared = this.#shared.checked;
    return fields;
  }

  #snapshot() {
    return JSON.stringify(this.#fields());
  }

  get dirty() {
    return this.character.editable && (this.#picture !== null || this.#snapshot() !== this.#saved);
  }

  #changed() {
    const { dirty } = this;
    if (this.el.isConnected) this.app.router.guard = dirty ? () => this.#mayLeave() : null;
    this.#save.disabled = this.#saving !== null || (!dirty && !this.fresh);
    this.#state.textContent = dirty ? "Not saved yet." : "";
  }

  async #mayLeave() {
    await this.#saving; // what is on its way is not lost
    if (!this.dirty || !this.el.isConnected) return true;
    return confirmDialog({ title: "Leave without saving?", text: "What you changed in this character will be lost.", confirm: "Leave", cancel: "Stay" });
  }

  #leave() {
    void this.app.router.go(this.fresh ? { view: "home" } : { view: "chat", id: this.character.id, memory: false });
  }

  /** @param {File} file */
  #choosePicture(file) {
    if (file.size > LARGEST_PICTURE) {
      toast("This picture is too large: it can have at most 10 MB.", { error: true });
      return;
    }
    this.#picture = file;
    if (this.#pictureUrl) URL.revokeObjectURL(this.#pictureUrl);
    this.#pictureUrl = URL.createObjectURL(file);
    this.#paintFace();
    this.#changed();
  }

  /** A chosen picture is dropped; one that is saved already is taken away at once. */
  async #removePicture() {
    if (this.#picture) {
      this.#picture = null;
      URL.revokeObjectURL(this.#pictureUrl);
      this.#pictureUrl = "";
    } else {
      const { etag, avatar: picture } = (await attempt(() => this.app.api.dropAvatar(this.character.id))) ?? this.character;
      this.character = { ...this.character, etag, avatar: picture };
      this.app.shelf.put(this.character);
      this.app.forgetConversation(this.character.id);
    }
    this.#paintFace();
    this.#changed();
  }

  #paintFace() {
    this.#dropFace.hidden = !this.#pictureUrl && !this.character.avatar;
    fill(this.#face, avatar({ id: this.character.id || "new", name: this.character.name || "?", avatar: this.#pictureUrl || this.character.avatar }, "large"));
  }

  // What the buttons do ----------------------------------------------------------------------------------------------

  /** @param {boolean} [overwrite]  save although somebody else changed the card */
  async #submit(overwrite = false) {
    if (this.#saving || !this.character.editable) return;
    const fields = this.#fields();
    const creating = this.fresh;
    if (!fields.name) {
      this.#fail("A character needs a name.");
      const input = this.#inputs.get("name");
      input?.setAttribute("aria-invalid", "true");
      input?.focus();
      return;
    }
    this.#inputs.get("name")?.removeAttribute("aria-invalid");
    this.#problem.hidden = true;
    this.#saving = this.#store(fields, overwrite).catch((error) => {
      if (error instanceof ApiError && error.status === 409 && !this.fresh) this.#conflict();
      else if (error instanceof ApiError) this.#fail(error.message);
      else toastError(error);
    });
    this.#save.disabled = true;
    await this.#saving;
    this.#saving = null;
    this.#changed();
    const { id } = this.character;
    if (!this.dirty && this.el.isConnected) await this.app.router.go({ view: "chat", id, memory: false }, { replace: creating });
  }

  /** @param {Record<string, unknown>} fields @param {boolean} overwrite */
  async #store(fields, overwrite) {
    const { app } = this;
    const creating = this.fresh;
    const sent = this.#snapshot();
    let saved = creating ? await app.api.createCharacter(fields) : await app.api.updateCharacter(this.character.id, fields, overwrite ? null : this.character.etag);
    this.character = saved;
    this.fresh = false;
    this.#saved = sent; // what was written meanwhile still counts as unsaved
    app.shelf.put(saved);
    if (this.#picture) {
      saved = await app.api.setAvatar(saved.id, this.#picture);
      this.character = saved;
      this.#picture = null;
      app.shelf.put(saved);
    }
    app.forgetConversation(saved.id);
    toast(creating ? `${saved.name} is here.` : "Saved.");
  }

  /** @param {string} text */
  #fail(text) {
    this.#problem.textContent = text;
    this.#problem.hidden = false;
    this.#problem.scrollIntoView({ block: "center" });
  }

  #conflict() {
    openDialog({
      title: "Somebody changed this character meanwhile",
      body: h("p", null, "You can look at their version, which loses what you wrote here, or save yours over it."),
      actions: [
        { label: "Go back", kind: "quiet", focus: true },
        {
          label: "Load theirs", kind: "quiet",
          run: async () => {
            const next = await Editor.open(this.app, this.character.id);
            this.el.replaceWith(next.el);
          },
        },
        { label: "Save mine", kind: "danger", run: () => void this.#submit(true) },
      ],
    });
  }

  async #duplicate() {
    await attempt(async () => {
      const copy = await this.app.api.duplicateCharacter(this.character.id);
      this.app.shelf.put(copy);
      await this.app.router.go({ view: "edit", id: copy.id });
      toast("This is the copy.");
    });
  }

  /** @param {"json"|"png"} format */
  async #export(format) {
    await attempt(async () => {
      const { blob, name } = await this.app.api.exportCharacter(this.character.id, format);
      saveFile(blob, name);
    });
  }
}
