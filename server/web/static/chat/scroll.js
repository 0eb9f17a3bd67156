// Stays at the end while the reader is at the end, and nowhere else.

const NEAR = 90;

export class Scroller {
  #atEnd = true;
  #content;
  #lastTop = 0;

  /**
   * @param {HTMLElement} box      what scrolls
   * @param {HTMLElement} content  what grows in it
   * @param {(atEnd: boolean) => void} changed
   */
  constructor(box, content, changed) {
    this.box = box;
    this.#content = content;
    this.changed = changed;
    box.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.#grown()).observe(content);
    new ResizeObserver(() => this.#grown()).observe(box);
  }

  get atEnd() {
    return this.#atEnd;
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.box;
    const near = scrollHeight - scrollTop - clientHeight < NEAR;
    // Growing content moves the end away by itself: only a reader who moves up has left it.
    const left = !near && scrollTop < this.#lastTop - 1;
    this.#lastTop = scrollTop;
    if (near) this.#set(true);
    else if (left) this.#set(false);
  }

  #grown() {
    if (this.#atEnd) this.#jump();
    else if (this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < NEAR) this.#set(true);
  }

  #jump() {
    this.box.scrollTop = this.box.scrollHeight;
    this.#lastTop = this.box.scrollTop;
  }

  /** @param {boolean} value */
  #set(value) {
    if (value === this.#atEnd) return;
    this.#atEnd = value;
    this.changed(value);
  }

  toEnd() {
    this.#set(true);
    this.#jump();
  }

  /** Runs something that adds content above, without moving what is being read. @param {() => void} change */
  keepPlace(change) {
    const before = this.box.scrollHeight - this.box.scrollTop;
    const anchored = this.#atEnd;
    change();
    if (anchored) this.#jump();
    else {
      this.box.scrollTop = this.box.scrollHeight - before;
      this.#lastTop = this.box.scrollTop;
    }
  }

  /** Brings a node into the middle. @param {HTMLElement} node */
  show(node) {
    this.#set(false);
    const box = this.box.getBoundingClientRect();
    const at = node.getBoundingClientRect();
    this.box.scrollTop += at.top - box.top - Math.max(24, (box.height - at.height) / 3);
    this.#lastTop = this.box.scrollTop;
  }
}
