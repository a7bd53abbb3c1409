// Changes to somebody else's objects that are all made, or none.

/** Remembers what properties were, so that they can be that again. */
export class Undo {
  readonly #steps: (() => void)[] = [];

  /** The property is about to be changed. */
  keep(target: object, key: PropertyKey): void {
    const before = Object.getOwnPropertyDescriptor(target, key);
    this.#steps.push(() => {
      if (before) Object.defineProperty(target, key, before);
      else Reflect.deleteProperty(target, key);
    });
  }

  /** All as it was, the last change first. */
  restore(): void {
    for (const step of this.#steps.splice(0).reverse()) step();
  }
}
