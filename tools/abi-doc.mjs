// Writes docs/abi.md from the constants and comments of assembly/abi/*.ts. With --check it only tells whether the page
// is up to date.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';

const root = new URL('../', import.meta.url);
const page = new URL('docs/abi.md', root);
const intro = `# ABI

Made by \`node tools/abi-doc.mjs\` from \`assembly/abi/*.ts\`, which both compilers read. Do not edit this page.

There are two layouts. The **netmap ABI** (netmap, CSB, ptnet, virtio-net) is what applications and guests see; it is
netmap's, in the flavour of a 64-bit little-endian machine, and does not change. The **arena ABI** (the sections called
private) is the host's own: \`ARENA_ABI\` is its version, and attaching to an arena of another version fails with
\`EINVAL\`.

Offsets and sizes are bytes. In TypeScript the numbers are \`abi.NAME\` (\`import { abi } from 'ptnet'\`).
`;
const titles = {
  netmap: 'netmap: slots, rings, directory, requests',
  'data-model': 'Data models: lp64, wasm32, i386',
  nmreq: 'Requests: the control API',
  csb: 'CSB: the communication status block',
  ptnet: 'ptnet: PCI identity and registers',
  'virtio-net': 'virtio-net header',
  ether: 'Ethernet',
  inet: 'IP, TCP and UDP',
  errno: 'Error numbers',
  arena: 'Arena: private',
  offload: 'Offloads: private',
};
const found = readdirSync(new URL('assembly/abi/', root)).map((file) => file.replace(/\.ts$/, ''));
const order = (name) => (Object.hasOwn(titles, name) ? Object.keys(titles).indexOf(name) : Infinity);
const names = found.sort().sort((a, b) => order(a) - order(b) || 0);

const cell = (text) => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');
const uncomment = (line) => line.replace(/^\/\/ ?/, '');

/** A block of comment lines as Markdown: indented lines are drawings, the others are text. */
function prose(lines) {
  const out = [];
  let drawing = false;
  for (const line of lines.map(uncomment)) {
    const isDrawing = /^ {2}/.test(line);
    if (isDrawing !== drawing) out.push(isDrawing ? '\n```text' : '```\n');
    drawing = isDrawing;
    out.push(isDrawing ? line.slice(2) : line);
  }
  if (drawing) out.push('```');
  return out.join('\n');
}

/** The first comment line of a group as a heading, `struct name` or what stands before a colon, and the text after it. */
function heading(line) {
  const text = uncomment(line);
  const [, struct, , rest] = /^(struct \w+)([:,] (.*))?$/.exec(text) ?? [];
  if (struct) return [`### \`${struct}\``, rest ? capital(rest) : ''];
  const [, before, after] = /^([\w ]+): (.*)$/.exec(text) ?? [];
  return before ? [`### ${capital(before)}`, capital(after)] : [`### ${capital(text)}`, ''];
}

/** With a capital letter, unless it starts with a name. */
const capital = (text) => (/^(?!ptnet)[a-z]+( |$)/.test(text) ? text.charAt(0).toUpperCase() + text.slice(1) : text);

/** One file: paragraphs are separated by blank lines; each may begin with a comment and hold constants. */
function section(name, title) {
  const text = readFileSync(new URL(`assembly/abi/${name}.ts`, root), 'utf8');
  const out = [`## ${title}`, ''];
  for (const [index, paragraph] of text.trim().split(/\n\n+/).entries()) {
    const lines = paragraph.split('\n');
    const first = lines.findIndex((line) => !line.startsWith('//'));
    const comment = first < 0 ? lines : lines.slice(0, first);
    if (comment.length > 0 && index === 0) {
      out.push(prose(comment), '');
    } else if (comment.length > 0) {
      const [head, rest] = heading(comment[0]);
      out.push(head, '');
      const body = [rest, prose(comment.slice(1))].filter(Boolean).join('\n');
      if (body) out.push(body, '');
    }
    out.push(...table(first < 0 ? [] : lines.slice(first), name));
  }
  return out.join('\n');
}

/** Constants as a table; without the column of meanings if none has one. */
function table(lines, name) {
  const rows = [];
  let doc = '';
  for (const line of lines) {
    const constant = /^export const (\w+) = (\S+);(?: \/\/ (.*))?$/.exec(line);
    if (constant) {
      const [, id, value, meaning = doc] = constant;
      rows.push([`\`${id}\``, `\`${value}\``, cell(meaning)]);
      doc = '';
    } else if (line.startsWith('/** ')) {
      doc = line.replace(/^\/\*\* | \*\/$/g, '');
    } else if (line.startsWith('//')) {
      rows.push(['', '', `*${cell(uncomment(line).trim())}*`]);
    } else {
      throw new Error(`assembly/abi/${name}.ts: cannot read '${line}'`);
    }
  }
  if (rows.length === 0) return [];
  const columns = rows.some(([, , meaning]) => meaning !== '') ? 3 : 2;
  const head = [
    ['Name', 'Value', 'Meaning'],
    ['---', '---', '---'],
  ];
  return [...head, ...rows].map((row) => `| ${row.slice(0, columns).join(' | ')} |`).concat('');
}

const sections = names.map((name) => section(name, titles[name] ?? name));
const wanted = `${[intro, ...sections]
  .join('\n')
  .replace(/\n{3,}/g, '\n\n')
  .trimEnd()}\n`;
const written = existsSync(page) ? readFileSync(page, 'utf8') : '';
if (process.argv.includes('--check')) {
  if (written !== wanted) console.error('docs/abi.md is not up to date: run node tools/abi-doc.mjs');
  process.exitCode = written === wanted ? 0 : 1;
} else {
  mkdirSync(new URL('.', page), { recursive: true });
  writeFileSync(page, wanted);
}
