// A program with a memory of its own, as far as its requests go: the host over its memory and the real one in one thread,
// and the requests handed over as its kernel does.
import { ProgramRequests } from '../../src/exec/program-requests.js';
import { hostUpstream, type Upstream } from '../../src/exec/upstream.js';
import { abi, Netmap } from '../../src/index.js';
import { BODIES } from '../../src/ioctl/codec.js';
import type { DeviceAnswer, ProgramRequest } from '../../src/ioctl/messages.js';
import type { NetmapFile } from '../../src/ioctl/netmap-file.js';
import { HostPort } from '../../src/netmap/host-port.js';
import type { PortInfo } from '../../src/netmap/register.js';

/** A descriptor that requests can be made of, and the port that one has bound. */
export interface Descriptor {
  request(request: Partial<ProgramRequest>): Promise<DeviceAnswer>;
  readonly port: HostPort | undefined;
  readonly file: NetmapFile;
  /** What another thread of the program learns of the port. */
  shared?(): Promise<PortInfo | null>;
  close(): Promise<void>;
}

/** Fields of a body that are not given are 0, as a program's memset leaves them. */
function whole(given: Partial<ProgramRequest>): ProgramRequest {
  const { type = abi.NETMAP_REQ_REGISTER, name = '', body = {}, options = [], ...rest } = given;
  const zero = Object.keys(BODIES[type]?.fields ?? {}).map((field) => [field, 0]);
  return { type, name, options, ...rest, body: { ...Object.fromEntries(zero), ...body } };
}

/** A descriptor of a program in the host's own memory: what netmap would say. */
export function directDescriptor(netmap: Netmap): Descriptor {
  const file = netmap.openDevice({ dataModel: 'wasm32' });
  return {
    request: (given) => file.request(whole(given)),
    get port() {
      return file.port;
    },
    file,
    close: () => file.close(),
  };
}

export class ProgramHarness {
  readonly own: Netmap;
  /** Why cables have failed. */
  readonly failures: Error[] = [];
  readonly #requests: ProgramRequests;

  private constructor(own: Netmap, upstream: Upstream) {
    this.own = own;
    this.#requests = new ProgramRequests(upstream, (error) => this.failures.push(error));
    this.#requests.host = own;
  }

  /** @param real the host that its ports are on, or where else they are */
  static async start(real: Netmap | Upstream): Promise<ProgramHarness> {
    const pools = { if_size: 1024, if_num: 64, ring_size: 65792, ring_num: 64, buf_size: 2112, buf_num: 16384 };
    const own = await Netmap.create({ pools });
    return new ProgramHarness(own, real instanceof Netmap ? hostUpstream(real) : real);
  }

  descriptor(): Descriptor {
    const file = this.own.openDevice({ dataModel: 'wasm32' });
    const next = (given: unknown): Promise<DeviceAnswer> => file.request(given as ProgramRequest);
    let port: HostPort | undefined;
    return {
      request: async (given) => {
        const args = { fd: file.fd, isOwner: true, dataModel: 'wasm32', ...whole(given) };
        const answer = (await this.#requests.intercept['device'](args, next as never)) as DeviceAnswer;
        const thread = file.port?.waiting;
        if (answer.port && thread) {
          port = new HostPort(thread, answer.port, { close: async () => {}, call: async () => {} });
        }
        return answer;
      },
      get port() {
        return port;
      },
      file,
      shared: async () => {
        const info = async (): Promise<PortInfo | null> => file.port?.info ?? null;
        return (await this.#requests.intercept['devicePort']({ fd: file.fd }, info)) as PortInfo | null;
      },
      close: async () => {
        await this.#requests.intercept['deviceClose']({ fd: file.fd }, () => file.close());
      },
    };
  }

  async close(): Promise<void> {
    await this.#requests.close();
    await this.own.close();
  }
}
