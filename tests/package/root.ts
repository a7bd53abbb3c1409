// Where the package's own files are, seen from build/ts/tests/package.
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../../../', import.meta.url));
