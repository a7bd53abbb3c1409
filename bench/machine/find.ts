// Programs of the machine, which a bench runs if they are there.
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { Absent } from '../types.js';

/** Where an executable is; undefined if it is nowhere on the PATH, nor where Debian keeps those of the administrator. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** @throws Absent that names the contender and Debian's package */
export function needProgram(name: string, contender: string, debian: string): string {
  const path = findProgram(name);
  if (!path) throw new Absent(`${contender}: no ${name} (Debian: ${debian})`);
  return path;
}

/** What a program of the machine does. @throws Absent, in the contender's name, whatever goes wrong with it */
export async function orAbsent<T>(contender: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Absent) throw error;
    throw new Absent(`${contender}: ${(error as Error).message.trim().split('\n')[0]}`);
  }
}
