// Boots the Linux of image.mjs in v86, in Node or in a page, and runs commands in it over its serial line.

/**
 * What a `V86` is made with.
 * @param image bytes of `bios.bin`, `vgabios.bin`, `vmlinuz` and `initrd.gz`, as ArrayBuffers by these names
 * @param wasm path or URL of v86.wasm
 */
export function linuxOptions(image, wasm, options = {}) {
  return {
    wasm_path: wasm,
    memory_size: 128 << 20,
    vga_memory_size: 2 << 20,
    bios: { buffer: image['bios.bin'] },
    vga_bios: { buffer: image['vgabios.bin'] },
    bzimage: { buffer: image['vmlinuz'] },
    initrd: { buffer: image['initrd.gz'] },
    cmdline: 'console=ttyS0 quiet loglevel=1 panic=-1 mitigations=off',
    acpi: true,
    autostart: false,
    disable_keyboard: true,
    disable_mouse: true,
    disable_speaker: true,
    net_device: { type: 'none' },
    ...options,
  };
}

export class Linux {
  #emulator;
  #text = '';
  #waiting;
  #queue = Promise.resolve();

  /** Resolves when the emulator can be given devices; it does not run yet. */
  static async prepare(V86, options) {
    const emulator = new V86(options);
    await new Promise((resolve) => emulator.add_listener('emulator-ready', resolve));
    return new Linux(emulator);
  }

  constructor(emulator) {
    this.#emulator = emulator;
    emulator.add_listener('serial0-output-byte', (byte) => {
      if (byte === 13) return;
      this.#text += String.fromCharCode(byte);
      if (byte === 10) this.#look();
    });
  }

  get emulator() {
    return this.#emulator;
  }

  /** What has been printed since the last command ended. */
  get text() {
    return this.#text;
  }

  /** Runs the machine until its shell takes commands. `limit`: ms. */
  async boot(limit = 120_000) {
    const ready = this.#until(/^@@ ready$/m, limit, 'boot');
    await this.#emulator.run();
    await ready;
  }

  /** Runs a command of the shell, after those before: what it prints. @throws Error if it fails, or takes longer than `limit` ms */
  run(command, limit = 60_000) {
    const result = this.#queue.then(async () => {
      const done = this.#until(/^@@ (\d+)$/m, limit, command);
      this.#emulator.serial0_send(`${command}\n`);
      const [text, status] = await done;
      if (status !== '0') throw new Error(`${command}: status ${status}\n${text}`);
      return text;
    });
    this.#queue = result.catch(() => {});
    return result;
  }

  /** Resolves when the command that is running has printed this. */
  async prints(pattern, limit = 60_000) {
    const end = Date.now() + limit;
    while (!pattern.test(this.#text)) {
      if (Date.now() > end) throw new Error(`no ${pattern} in ${limit} ms\n${this.#text}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async close() {
    await this.#emulator.destroy();
  }

  #until(pattern, limit, what) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting = undefined;
        reject(new Error(`${what}: not done after ${limit} ms\n${this.#text.slice(-4000)}`));
      }, limit);
      this.#waiting = { pattern, timer, resolve };
    });
  }

  #look() {
    const found = this.#waiting?.pattern.exec(this.#text);
    if (!found) return;
    const { timer, resolve } = this.#waiting;
    clearTimeout(timer);
    this.#waiting = undefined;
    const before = this.#text.slice(0, found.index);
    this.#text = this.#text.slice(found.index + found[0].length + 1);
    resolve([before, found[1]]);
  }
}
