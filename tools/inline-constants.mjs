// Writes numbers in the place of their names, in the modules that tsc has made: `export const NETMAP_RING_HEAD = 20` of one
// module, used in another or in its own. To V8 what a module exports is a variable, which each use loads from a cell, asks
// whether it is initialised, and whether it is a small integer; in a loop over slots that costs more than the slot does.
// Lines stay where they are, and so does what the source maps say of them.
//   node tools/inline-constants.mjs FOLDER
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { attachScopes } from '@rollup/pluginutils';
import { walk } from 'estree-walker';
import isReference from 'is-reference';
import MagicString from 'magic-string';
import { parseAst } from 'rollup/parseAst';

const isNumber = (node) => node?.type === 'Literal' && typeof node.value === 'number';

/** The number that an initializer is, as source text: a literal, or a negative one. */
function numberOf(init) {
  if (isNumber(init)) return init.raw;
  if (init?.type === 'UnaryExpression' && init.operator === '-' && isNumber(init.argument))
    return `(-${init.argument.raw})`;
  return undefined;
}

/** The numbers that a module declares and exports: name to source text. */
function declaredNumbers(ast) {
  const numbers = new Map();
  for (const { type, declaration } of ast.body) {
    if (type !== 'ExportNamedDeclaration' || declaration?.kind !== 'const') continue;
    for (const { id, init } of declaration.declarations) {
      const number = numberOf(init);
      if (number !== undefined) numbers.set(id.name, number);
    }
  }
  return numbers;
}

/** Those, and what it exports of other modules. */
function exportedNumbers(file, modules, seen = new Set()) {
  const module = modules.get(file);
  if (!module || seen.has(file)) return new Map();
  seen.add(file);
  const numbers = declaredNumbers(module.ast);
  for (const { type, source, specifiers, exported } of module.ast.body) {
    if (!source || !type.startsWith('Export')) continue;
    const from = exportedNumbers(resolve(file, '..', source.value), modules, seen);
    if (type === 'ExportAllDeclaration' && exported === null) {
      for (const [name, number] of from) if (!numbers.has(name)) numbers.set(name, number);
    }
    for (const { local, exported } of specifiers ?? []) {
      if (from.has(local.name)) numbers.set(exported.name, from.get(local.name));
    }
  }
  return numbers;
}

/** The numbers that have a name at the top of a module. */
function namedNumbers(file, modules) {
  const { ast } = modules.get(file);
  const numbers = declaredNumbers(ast);
  for (const { type, source, specifiers } of ast.body) {
    if (type !== 'ImportDeclaration') continue;
    const from = exportedNumbers(resolve(file, '..', source.value), modules);
    for (const { type, imported, local } of specifiers) {
      if (type === 'ImportSpecifier' && from.has(imported.name)) numbers.set(local.name, from.get(imported.name));
    }
  }
  return numbers;
}

function inlined({ ast, code }, numbers) {
  const text = new MagicString(code);
  const top = attachScopes(ast, 'scope');
  let scope = top;
  /** Whether a function or a block has a variable of its own of that name. */
  const isOther = (name) => {
    for (let inner = scope; inner !== top; inner = inner.parent) if (inner.declarations[name]) return true;
    return false;
  };
  walk(ast, {
    enter(node, parent) {
      if (node.type === 'ImportDeclaration' || (node.type === 'ExportNamedDeclaration' && !node.declaration))
        this.skip();
      if (node.scope) scope = node.scope;
      if (node.type !== 'Identifier' || !numbers.has(node.name) || isOther(node.name)) return;
      const declares = parent.type === 'VariableDeclarator' && parent.id === node;
      if (declares || !isReference(node, parent)) return;
      const ofMember = parent.type === 'MemberExpression' && parent.object === node; // 20.toString() is no program
      const number = ofMember ? `(${numbers.get(node.name)})` : numbers.get(node.name);
      text.overwrite(node.start, node.end, parent.shorthand ? `${node.name}: ${number}` : number);
      if (parent.shorthand) this.skip();
    },
    leave(node) {
      if (node.scope) scope = scope.parent;
    },
  });
  return text.toString();
}

const [folder] = process.argv.slice(2);
const files = readdirSync(folder, { recursive: true }).filter((name) => name.endsWith('.js'));
const modules = new Map(
  files.map((name) => {
    const code = readFileSync(join(folder, name), 'utf8');
    return [resolve(folder, name), { code, ast: parseAst(code.replace(/^#!/, '//')) }];
  }),
);
for (const [file, module] of modules) {
  const code = inlined(module, namedNumbers(file, modules));
  if (code !== module.code) writeFileSync(file, code);
}
