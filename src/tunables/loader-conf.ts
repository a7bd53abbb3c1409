// Settings in the form of loader.conf(5): one a line, name="value" or name=value, with comments after #. The file may be
// that of a whole machine: what is not netmap's is passed over.

import { netmapError } from '../errors.js';
import { checkSetting, type GivenTunables, isNetmapName } from './check.js';

const SETTING = /^([^\s=#"']+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s"'#]+))\s*(?:#.*)?$/;
const NOTHING = /^(?:#.*)?$/;

/**
 * Reads the tunables in a text; the last setting of a name counts.
 * @param text content of the file
 * @param fileName for messages
 * @throws NetmapError EINVAL with file, line number and reason: a line that is not a setting, an unknown name below
 *   `dev.netmap.`, a value that is not a number, is out of range or is a constant's
 */
export function parseLoaderConf(text: string, fileName: string): GivenTunables {
  const settings: [string, number][] = [];
  for (const [i, whole] of text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .entries()) {
    const source = `${fileName}:${i + 1}`;
    const line = whole.trim();
    if (NOTHING.test(line)) continue;
    const [, name, quoted, bare] = SETTING.exec(line) ?? [];
    if (name === undefined) {
      throw netmapError('EINVAL', `${source}: '${line}' is not a setting: name="value"`);
    }
    if (isNetmapName(name)) settings.push(checkSetting(source, name, quoted ?? bare));
  }
  return Object.fromEntries(settings);
}
