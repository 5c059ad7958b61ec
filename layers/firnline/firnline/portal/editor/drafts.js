// The drawing that a person has not submitted yet, in the browser's own database, and the tab that may work on it.

const DATABASE = "firnline";
const DRAFTS = "drafts";
const NEARLY_FULL = 0.95; // of what the browser grants
const OTHER_TAB_MS = 1500; // for which a tab that is being closed may hold its task on

const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

async function database() {
  const opening = indexedDB.open(DATABASE, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(DRAFTS);
  return done(opening);
}

/** The draft of one task. It is written whenever it changed, the newest state only, one write at a time. */
export class Draft {
  writing = false;
  next = null; // a function that gives the state to write
  dropped = false;
  kept = true; // whether all that was saved has been written

  /** `tell` hears a sentence when the draft cannot be kept, and "" when it can be again. */
  constructor(key, tell) {
    this.key = key;
    this.tell = tell;
  }

  async load() {
    try {
      const store = (await this.open()).transaction(DRAFTS).objectStore(DRAFTS);
      return (await done(store.get(this.key))) ?? null;
    } catch (error) {
      this.complain("An unfinished drawing of this task, if there is one, cannot be read.", error);
      return null;
    }
  }

  async open() {
    this.opened ??= database();
    return this.opened;
  }

  save(state) {
    this.next = state;
    this.kept = false;
    this.write();
  }

  async write() {
    if (this.writing || this.dropped || !this.next) return;
    this.writing = true;
    const state = this.next;
    this.next = null;
    try {
      const transaction = (await this.open()).transaction(DRAFTS, "readwrite");
      if (!this.dropped) transaction.objectStore(DRAFTS).put(state(), this.key);
      await new Promise((resolve, reject) => {
        transaction.oncomplete = resolve;
        transaction.onabort = () => reject(transaction.error);
      });
      this.kept = !this.next;
      this.tell(await nearlyFull() ? "The browser's storage is nearly full. Submit soon, or download the drawing." : "");
    } catch (error) {
      const full = error?.name === "QuotaExceededError";
      const why = full ? "The browser's storage is full" : "The browser keeps no drafts here";
      this.complain(`${why}: your drawing is lost if this tab closes. Submit it, or download it.`, error);
    }
    this.writing = false;
    this.write();
  }

  complain(sentence, error) {
    console.warn(sentence, error);
    this.tell(sentence);
  }

  async drop() {
    this.dropped = true;
    this.kept = true;
    try {
      const transaction = (await this.open()).transaction(DRAFTS, "readwrite");
      await done(transaction.objectStore(DRAFTS).delete(this.key));
    } catch (error) {
      console.warn("The draft of this task cannot be deleted.", error);
    }
  }
}

async function nearlyFull() {
  const { usage = 0, quota = 0 } = (await navigator.storage?.estimate?.()) ?? {};
  return quota > 0 && usage > NEARLY_FULL * quota;
}

/** Hold a task for this tab: true once it has it, false if another tab has. `lost` is called if another tab takes it over. */
export function hold(name, lost, takeOver = false) {
  if (!navigator.locks) return Promise.resolve(true); // a page without a secure context; there is no other way to know
  return new Promise((answer) => {
    let held = false;
    const options = takeOver ? { steal: true } : { signal: AbortSignal.timeout(OTHER_TAB_MS) };
    navigator.locks
      .request(`firnline:${name}`, options, () => {
        held = true;
        answer(true);
        return new Promise(() => {}); // until the tab closes
      })
      .catch(() => (held ? lost() : answer(false)));
  });
}
