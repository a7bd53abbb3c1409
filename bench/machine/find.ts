// Programs of the machine, which a bench runs if they are there.
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

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
