// Something that is made when it is first wanted, and kept; a failure is not: the next one who wants it has another try.

export class Attempt<T> {
  readonly #make: () => Promise<T>;
  #made: Promise<T> | undefined;

  constructor(make: () => Promise<T>) {
    this.#make = make;
  }

  /** What was made, now or before; those who ask at the same time share a try. @throws what `make` throws */
  async result(): Promise<T> {
    this.#made ??= this.#make();
    const made = this.#made;
    try {
      return await made;
    } catch (error) {
      if (this.#made === made) this.#made = undefined;
      throw error;
    }
  }

  /** What was made, or is being made; undefined when nothing was, or it has failed. */
  get last(): Promise<T | undefined> {
    return Promise.resolve(this.#made).catch(() => undefined);
  }
}
