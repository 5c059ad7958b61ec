/** The draft of this task in the browser's own storage; a full or forbidden storage costs the draft, not the work at hand. */
export const draft = {
  key: () => `firnline:draft:${location.pathname}`,
  load() {
    try {
      return JSON.parse(localStorage.getItem(this.key()) ?? "null");
    } catch (error) {
      console.warn("The draft of this task cannot be read.", error);
      return null;
    }
  },
  save(fields) {
    try {
      localStorage.setItem(this.key(), JSON.stringify({ ...fields, saved: Date.now() }));
    } catch (error) {
      console.warn("The draft of this task cannot be kept.", error);
    }
  },
  drop() {
    localStorage.removeItem(this.key());
  },
};
