/** What a person did to a frame: operations by kind, and vertices moved by hand. */
export class Effort {
  operations = {};
  moved = 0;

  count(kind) {
    this.operations[kind] = (this.operations[kind] ?? 0) + 1;
  }

  get state() {
    return { operations: { ...this.operations }, moved: this.moved };
  }

  set state({ operations, moved }) {
    this.operations = { ...operations };
    this.moved = moved;
  }
}
