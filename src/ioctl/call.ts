// What a handler of a request is given, and what it gives back. It fails by throwing a NetmapError.

import { netmapError } from '../errors.js';
import type { DeviceFile, DeviceFiles } from './files.js';
import type { DeviceAnswer, DeviceRequest } from './messages.js';

export interface Call<Body> {
  readonly files: DeviceFiles;
  readonly file: DeviceFile;
  /** Thread that asks. */
  readonly tid: number;
  readonly request: DeviceRequest;
  readonly body: Body;
  /** nro_status of the options that a handler has taken, by type. */
  readonly status: Record<number, number>;
}

export type Outcome = Omit<DeviceAnswer, 'errno' | 'status'>;
export type Handler<Body> = (call: Call<Body>) => Outcome | undefined | Promise<Outcome | undefined>;

/** nr_name. @throws NetmapError EINVAL */
export function nameOf({ name }: DeviceRequest): string {
  // DIFF: netmap compares bytes. Names of ports are strings here, and two of them must not mean one.
  if (name === null) throw netmapError('EINVAL', 'the name is not UTF-8', { op: 'ioctl' });
  return name;
}
