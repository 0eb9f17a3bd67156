// Starts the page: who is here, which parts there are, and what the address shows.

import { AdminPage } from "./admin/page.js";
import { RoutingPage } from "./admin/routing/page.js";
import { StudioPage } from "./admin/studio/page.js";
import { Api, ApiError, sentence } from "./api.js";
import { Editor } from "./characters/editor.js";
import { Importer } from "./characters/importer.js";
import { Shelf } from "./characters/shelf.js";
import { Sidebar } from "./characters/sidebar.js";
import { ChatView } from "./chat/view.js";
import { Conversation } from "./chat/conversation.js";
import { byId, fill, h } from "./dom.js";
import { Drawer } from "./memory/drawer.js";
import { Jobs } from "./pictures/jobs.js";
import { Router } from "./router.js";
import { ShopPage } from "./shop/page.js";
import { Shortcuts } from "./shortcuts.js";
import { showSignIn, takeToken } from "./signin.js";
import { local, session } from "./storage.js";
import { paintBrowser } from "./theme.js";
import { attempt, toast, toastError } from "./toast.js";

/** From this width on the memory stands beside the chat; below, it lies over it. Mirrors css/layout.css. */
const wide = matchMedia("(min-width: 1080px)");

/** @typedef {{el: HTMLElement, close?: () => void}} Part  `close`: it is taken off the screen and stops what it does */

export class App {
  /** @type {Map<string, Conversation>} */
  #conversations = new Map();
  /** @type {Part|null} */
  #shown = null;
  /** @type {Conversation|null} */
  conversation = null;
  #visit = 0;

  /** @param {Api} api @param {import("../types.js").Me} me */
  constructor(api, me) {
    this.api = api;
    this.me = me;
    const root = byId("app");
    fill(root);
    this.router = new Router((route) => void this.#show(route));
    this.shelf = new Shelf(api);
    this.jobs = new Jobs(api);
    this.importer = new Importer(this);
    this.shortcuts = new Shortcuts(this);
    this.sidebar = new Sidebar(this);
    this.chat = new ChatView(this);
    this.drawer = new Drawer(this);
    this.main = h("main", { class: "main", id: "content", tabindex: "-1" });
    this.veil = h("div", { class: "veil", onclick: () => this.setMemory(false) });
    root.prepend(this.sidebar.el, this.main, this.veil, this.drawer.el);
    this.#stop = new AbortController();
    wide.addEventListener("change", () => this.#layout(), { signal: this.#stop.signal });
    addEventListener("offline", () => toast("You are offline. What you write is kept here until you are back.", { error: true }), { signal: this.#stop.signal });
    addEventListener("online", () => { toast("Back online."); void this.conversation?.catchUp(); }, { signal: this.#stop.signal });
    addEventListener("beforeunload", (event) => { if (this.router.guard) event.preventDefault(); }, { signal: this.#stop.signal });
  }

  #stop;

  async start() {
    await this.shelf.load();
    this.router.start();
  }

  /** Takes the page down, for the sign-in screen. */
  close() {
    this.#stop.abort();
    this.importer.close?.();
    this.shortcuts.close();
    this.router.close();
    this.jobs.close();
    this.#shown?.close?.();
    this.conversation = null;
    for (const one of this.#conversations.values()) one.close();
    this.#conversations.clear();
  }

  /** @param {import("./router.js").Route} route */
  async #show(route) {
    const visit = (this.#visit += 1);
    const root = byId("app");
    root.dataset.pane = route.view === "home" ? "list" : "main";
    if (route.view !== "chat") this.sidebar.setCurrent("");
    let opened = false;
    try {
      if (route.view === "chat") opened = await this.#openChat(route.id, visit);
      else if (route.view === "home") await this.#home();
      else if (route.view === "admin") this.#place(new AdminPage(this), "People and keys");
      else if (route.view === "routing") this.#place(new RoutingPage(this), "Models and money");
      else if (route.view === "studio") this.#place(new StudioPage(this), "Pictures and hosts");
      else if (route.view === "shop") await this.#openShop(route.id, visit);
      else {
        const editor = await Editor.open(this, route.view === "edit" ? route.id : null);
        if (visit === this.#visit) this.#place(editor, editor.title);
      }
    } catch (error) {
      if (visit === this.#visit) this.#problem(error);
    }
    if (visit !== this.#visit) return;
    this.#layout();
    if (opened && !this.main.inert && matchMedia("(hover: hover)").matches) this.chat.focusComposer();
  }

  /** @param {Part} part @param {string} title */
  #place(part, title) {
    document.title = `${title} · Vestige`;
    if (this.#shown === part) return;
    this.#shown?.close?.();
    this.#shown = part;
    if (part !== this.chat) this.conversation = null;
    fill(this.main, part.el);
    if (part !== this.chat) this.main.focus({ preventScroll: true });
  }

  async #home() {
    // With room for both, the last conversation opens; on a phone the list itself is home.
    const last = this.shelf.find(this.me.active_character ?? "") ?? this.shelf.all[0];
    if (last && !matchMedia("(max-width: 719px)").matches) {
      await this.router.go({ view: "chat", id: last.id, memory: false }, { replace: true });
      return;
    }
    this.#place(
      {
        el: h(
          "div",
          { class: "alone" },
          h("h1", null, last ? "Who would you like to talk to?" : "Nobody is here yet"),
          !last && h("p", null, "Write a character of your own, or drop a character card (PNG or JSON) anywhere on this page."),
          !last && h("p", { class: "row" }, h("button", { type: "button", class: "button button--primary", onclick: () => this.router.go({ view: "new" }) }, "New character"), h("button", { type: "button", class: "button", onclick: () => this.importer.pick() }, "Import a card")),
        ),
      },
      "Characters",
    );
  }

  /** @param {string} id @param {number} visit @returns {Promise<boolean>} whether it came on screen just now */
  async #openChat(id, visit) {
    this.sidebar.setCurrent(id);
    if (this.conversation?.id === id && this.#shown === this.chat) return false;
    const conversation = this.conversationWith(id);
    this.main.inert = true; // what one types meanwhile must not go to the character before; #layout ends it
    await conversation.open();
    if (visit !== this.#visit) return false;
    if (!this.shelf.find(id)) this.shelf.put(conversation.character);
    this.conversation = conversation;
    this.chat.show(conversation);
    this.drawer.show(conversation);
    this.#place(this.chat, conversation.character.name);
    this.conversation = conversation;
    if (this.me.active_character !== id) {
      this.me.active_character = id;
      void this.api.setActive(id).catch(() => undefined); // only a convenience for the next visit
    }
    return true;
  }

  /** @param {string} id  the character's @param {number} visit */
  async #openShop(id, visit) {
    this.sidebar.setCurrent(id);
    const character = await this.api.character(id);
    if (visit === this.#visit) this.#place(new ShopPage(this, character), `What ${character.name} wears`);
  }

  /** A conversation stays alive while its reply is being written, also when another one is looked at. @param {string} id */
  conversationWith(id) {
    for (const [key, one] of this.#conversations) {
      if (key !== id && !one.busy) {
        one.close();
        this.#conversations.delete(key);
      }
    }
    let conversation = this.#conversations.get(id);
    if (!conversation) {
      conversation = new Conversation(this.api, id, this.me);
      conversation.on("said", (at) => this.shelf.touch(id, at));
      this.#conversations.set(id, conversation);
    }
    return conversation;
  }

  /** The character or its whole conversation is gone or was changed elsewhere: start from what the server has. @param {string} id */
  forgetConversation(id) {
    this.#conversations.get(id)?.close();
    this.#conversations.delete(id);
    if (this.conversation?.id === id) this.conversation = null;
  }

  /** @param {unknown} error */
  #problem(error) {
    if (!(error instanceof ApiError)) console.error(error);
    this.#place(
      {
        el: h("div", { class: "alone", role: "alert" }, h("h1", null, "This did not open"), h("p", { dir: "auto" }, sentence(error)), h("p", { class: "row" }, h("button", { type: "button", class: "button", onclick: () => { this.#shown = null; this.router.start(); } }, "Try again"), h("a", { class: "button", href: "#/" }, "To the characters"))),
      },
      "Problem",
    );
  }

  // The memory drawer -------------------------------------------------------------------------------------------

  get memoryOpen() {
    const { route } = this.router;
    if (route.view !== "chat") return false;
    return wide.matches ? local.get("memory") !== "closed" : route.memory;
  }

  toggleMemory() {
    this.setMemory(!this.memoryOpen);
  }

  /** @param {boolean} open */
  setMemory(open) {
    const { route } = this.router;
    if (route.view !== "chat" || open === this.memoryOpen) return;
    if (wide.matches) {
      local.set("memory", open ? null : "closed");
      this.#layout();
    } else if (open) {
      void this.router.go({ ...route, memory: true }, { state: "memory" });
    } else if (history.state === "memory") {
      history.back(); // so that Back does not open it again
    } else {
      void this.router.go({ ...route, memory: false }, { replace: true });
    }
  }

  /** Shows a message that memory names; a memory that lies over the chat steps aside. @param {string} messageId */
  jumpTo(messageId) {
    if (!wide.matches) this.setMemory(false);
    void this.chat.jumpTo(messageId);
  }

  #layout() {
    const root = byId("app");
    const open = this.memoryOpen && this.#shown === this.chat;
    const was = root.dataset.memory === "open";
    root.dataset.memory = open ? "open" : "closed";
    this.drawer.el.hidden = !open;
    const over = open && !wide.matches;
    this.main.inert = over;
    this.sidebar.el.inert = over;
    this.chat.memoryOpened(open);
    if (open && !was) this.drawer.opened(over);
    if (!open && was && this.#shown === this.chat && !wide.matches) this.chat.focusMemoryButton();
  }

  // Everything else ---------------------------------------------------------------------------------------------

  /** Escape outside a dialog. @returns {boolean} whether there was something to leave */
  escape() {
    if (this.memoryOpen && !wide.matches) {
      this.setMemory(false);
      return true;
    }
    if (this.conversation?.busy) {
      this.conversation.stop();
      return true;
    }
    return false;
  }

  /** Everything of this person was deleted: start from what the server has now. */
  async afterDeletion() {
    session.drop("draft.");
    session.drop("unsent.");
    for (const id of [...this.#conversations.keys()]) this.forgetConversation(id);
    this.#shown = null;
    await this.shelf.load();
    if (this.router.route.view === "chat" && !this.shelf.find(this.router.route.id)) await this.router.go({ view: "home" });
    else this.router.start();
  }

  async signOut() {
    if (this.router.guard && !(await this.router.guard())) return;
    this.router.guard = null;
    await attempt(() => this.api.signOut());
    session.drop("draft.");
    session.drop("unsent.");
    history.replaceState(null, "", "/");
    begin("You are signed out.");
  }
}

const api = new Api();
/** @type {App|null} */
let app = null;

/** @param {import("../types.js").Me} me */
async function enter(me) {
  app = new App(api, me);
  try {
    await app.start();
  } catch (error) {
    toastError(error);
  }
}

/** Shows the sign-in screen. @param {string} [problem] */
function begin(problem = "") {
  app?.close();
  app = null;
  const root = byId("app");
  delete root.dataset.pane;
  delete root.dataset.memory;
  for (const dialog of document.querySelectorAll("dialog[open]")) /** @type {HTMLDialogElement} */ (dialog).close();
  showSignIn(api, { problem, onSignedIn: (me) => void enter(me) });
}

api.onSignedOut = () => {
  if (app) begin("Your session has ended. Sign in again to go on; what you were writing is kept.");
};

async function boot() {
  paintBrowser();
  let problem = "";
  const token = takeToken();
  if (token) {
    try {
      await enter(await api.signIn(token));
      return;
    } catch (error) {
      problem = sentence(error);
    }
  }
  try {
    // A link that was used before is no trouble for whoever is still signed in.
    await enter(await api.me());
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) begin(problem);
    else begin(problem || sentence(error));
  }
}

byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("content").focus();
});
await boot();
