// SPDX-License-Identifier: Apache-2.0
// Turns a core module into a component: one made from theater.h, from the Rust crate in sdk/rust, or
// in any other way whose exports and imports have the names and types of the canonical ABI.
//
//   node componentize.mjs CORE.wasm COMPONENT.wasm [--world] [--utf16] [--wasi]
//
// The world is derived from the module itself: it imports the interfaces that the module imports, and
// exports exactly the functions that the module exports. An interface of which only some functions are
// exported is declared with those alone, so that the runtime can tell what the actor does not handle.
// --world prints the world instead of writing the component. --utf16 says that the module's strings
// are UTF-16, not UTF-8. --wasi takes a module made for WASI preview 1 (a C library, Rust's standard
// library) and puts the adapter to WASI 0.2 of the npm package @bytecodealliance/jco around it. Alone, --version prints the version of the tools, and --check-wit tries every
// world of the wit folder.
//
// The encoding is done by wasm-tools, as the npm package @bytecodealliance/jco-transpile carries it.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const PACKAGE = '@bytecodealliance/jco-transpile';
const ENTRY = 'vendor/wasm-tools.js';
const PREFIX = 'theater:simple/';
const ADAPTED = 'wasi_snapshot_preview1';
const ADAPTER = `@bytecodealliance/jco/lib/${ADAPTED}.reactor.wasm`;
const OPTIONS = ['--world', '--utf16', '--wasi'];
const ALONE = ['--check-wit', '--version'];
const USAGE = 'usage: node componentize.mjs CORE.wasm COMPONENT.wasm [--world] [--utf16] [--wasi]';

class Problem extends Error {}

/** The folder of wit files: two levels up in the source tree, or beside this script. */
function witFolder() {
  const candidates = [path.join(here, '../../wit'), path.join(here, 'wit')];
  const found = candidates.find((folder) => fs.existsSync(path.join(folder, 'actor.wit')));
  if (!found) throw new Problem(`the wit folder is missing; looked at ${candidates.join(', ')}`);
  return found;
}

/** Every place where jco-transpile may be: $THEATER_WASM_TOOLS, then node_modules upwards. */
export function findWasmTools() {
  const places = [];
  const given = process.env.THEATER_WASM_TOOLS;
  if (given) {
    for (const below of ['', PACKAGE, `node_modules/${PACKAGE}`]) places.push(path.join(given, below));
  }
  for (const start of [here, process.cwd()]) {
    for (let folder = start; ; folder = path.dirname(folder)) {
      places.push(path.join(folder, 'node_modules', PACKAGE));
      if (folder === path.dirname(folder)) break;
    }
  }
  return places.map((place) => path.resolve(place)).find((place) => fs.existsSync(path.join(place, ENTRY)));
}

function requireWasmTools() {
  const place = findWasmTools();
  if (!place) {
    throw new Problem(
      `${PACKAGE} is not installed; run "npm install ${PACKAGE}" in your project, ` +
        'or set THEATER_WASM_TOOLS to the folder where it is',
    );
  }
  return place;
}

async function loadWasmTools() {
  const module = await import(pathToFileURL(path.join(requireWasmTools(), ENTRY)).href);
  await module.$init;
  return module.tools;
}

/** The adapter from WASI preview 1, of the jco beside jco-transpile. */
function readAdapter() {
  const file = path.resolve(requireWasmTools(), '../..', ADAPTER);
  if (!fs.existsSync(file)) {
    throw new Problem(`the adapter is missing at ${file}; run "npm install @bytecodealliance/jco" there`);
  }
  return fs.readFileSync(file);
}

/** The interfaces of the wit folder: name → { head, statements }, comments removed. */
function readInterfaces(folder) {
  const interfaces = new Map();
  for (const file of fs.readdirSync(folder).filter((name) => name.endsWith('.wit')).sort()) {
    const text = fs.readFileSync(path.join(folder, file), 'utf8').replace(/\/\/.*$/gm, '');
    for (const start of text.matchAll(/\binterface\s+([a-z0-9-]+)\s*\{/g)) {
      const from = start.index + start[0].length;
      let depth = 1;
      let to = from;
      while (depth > 0) {
        if (to >= text.length) throw new Problem(`${file}: interface ${start[1]} is not closed`);
        depth += { '{': 1, '}': -1 }[text[to++]] ?? 0;
      }
      interfaces.set(start[1], text.slice(from, to - 1));
    }
  }
  return interfaces;
}

const FUNCTION = /^[ \t]*([a-z][a-z0-9-]*):\s*func\b[^;]*;/gm;

function functionsOf(body) {
  return [...body.matchAll(FUNCTION)].map((match) => match[1]);
}

/** Which functions of which interfaces a core module imports and exports. */
function inspect(core, interfaces, isOnWasi) {
  const module = new WebAssembly.Module(core);
  const use = { imports: new Map(), exports: new Map() };
  const note = (map, name, func, verb) => {
    const body = interfaces.get(name);
    if (body === undefined) throw new Problem(`the actor ${verb} the unknown interface ${PREFIX}${name}`);
    if (!functionsOf(body).includes(func)) {
      throw new Problem(`the actor ${verb} ${PREFIX}${name}#${func}, which the interface does not have`);
    }
    if (!map.has(name)) map.set(name, new Set());
    map.get(name).add(func);
  };
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
    if (isOnWasi && from === ADAPTED) continue;
    if (kind !== 'function' || !from.startsWith(PREFIX)) {
      throw new Problem(
        from === 'env'
          ? `the actor needs the ${kind} "${name}", which is nowhere defined (there is no C library)`
          : `the actor imports ${from} ${name}, which is not part of ${PREFIX.slice(0, -1)}` +
              (from.startsWith('wasi') ? '; build it for a target without WASI, or use --wasi' : ''),
      );
    }
    note(use.imports, from.slice(PREFIX.length), name, 'imports');
  }
  for (const { name } of WebAssembly.Module.exports(module)) {
    const parts = /^theater:simple\/([a-z-]+)#([a-z-]+)$/.exec(name);
    if (parts) note(use.exports, parts[1], parts[2], 'exports');
  }
  if (!use.exports.has('actor')) {
    throw new Problem(
      'the actor has no init: write THEATER_INIT(function); at the end of its C source, ' +
        'or theater::actor! { init: function } in Rust',
    );
  }
  return use;
}

/** The package text that this actor is built against; its world is called "actor-world". */
function worldText(use, interfaces) {
  const lines = ['package theater:simple;', ''];
  for (const [name, body] of interfaces) {
    const exported = use.exports.get(name);
    const text = exported
      ? body.replace(FUNCTION, (whole, func) => (exported.has(func) ? whole : ''))
      : body;
    lines.push(`interface ${name} {${text.replace(/\n\s*\n+/g, '\n')}}`, '');
  }
  lines.push('world actor-world {');
  for (const name of [...use.imports.keys()].sort()) lines.push(`  import ${name};`);
  for (const name of [...use.exports.keys()].sort()) lines.push(`  export ${name};`);
  lines.push('}', '');
  return lines.join('\n');
}

/** Makes an empty component of every world of the wit folder, and prints the worlds' names. */
function checkWit(tools) {
  const folder = witFolder();
  const files = fs.readdirSync(folder).filter((name) => name.endsWith('.wit')).sort();
  const texts = files.map((name) => fs.readFileSync(path.join(folder, name), 'utf8'));
  const declaring = files.filter((name, i) => /^package /m.test(texts[i]));
  if (declaring.length !== 1) {
    // Tools that take the folder as a package refuse it when two such lines have comments.
    throw new Problem(`one file must declare the package, not ${declaring.join(', ') || 'none'}`);
  }
  // The declaration comes first.
  const text = texts.sort((a, b) => /^package /m.test(b) - /^package /m.test(a)).join('\n');
  for (const [, world] of text.matchAll(/^world ([a-z-]+) \{/gm)) {
    const embedded = tools.componentEmbed({ dummy: true, witSource: text, world });
    const found = tools.componentWit(tools.componentNew(embedded, []));
    for (const name of new Set([...found.matchAll(/theater:simple\/([a-z-]+)/g)].map((match) => match[1]))) {
      if (!fs.existsSync(path.join(folder, `${name}.wit`))) throw new Problem(`no file for ${name}`);
    }
    console.log(world);
  }
}

async function main(args) {
  const [input, output] = args.filter((arg) => !OPTIONS.includes(arg));
  const unknown = [input, output].find((arg) => arg?.startsWith('--') && !ALONE.includes(arg));
  if (unknown) throw new Problem(`unknown option ${unknown}; ${USAGE}`);
  if (input === '--check-wit') {
    checkWit(await loadWasmTools());
    return;
  }
  if (input === '--version') {
    const place = requireWasmTools();
    const { version } = JSON.parse(fs.readFileSync(path.join(place, 'package.json'), 'utf8'));
    console.log(`jco-transpile ${version}`);
    return;
  }
  const isWorldOnly = args.includes('--world');
  const isOnWasi = args.includes('--wasi');
  if (!input || (!output && !isWorldOnly)) throw new Problem(USAGE);
  const core = fs.readFileSync(input);
  const interfaces = readInterfaces(witFolder());
  const world = worldText(inspect(core, interfaces, isOnWasi), interfaces);
  if (isWorldOnly) {
    process.stdout.write(world);
    return;
  }
  const tools = await loadWasmTools();
  const embedded = tools.componentEmbed({
    binary: core,
    witSource: world,
    world: 'actor-world',
    stringEncoding: args.includes('--utf16') ? 'utf16' : 'utf8',
  });
  const adapters = isOnWasi ? [[ADAPTED, readAdapter()]] : [];
  fs.writeFileSync(output, tools.componentNew(embedded, adapters));
}

if (process.argv[1] && fs.realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    const detail = error?.payload ?? error?.message ?? String(error);
    console.error(`componentize: ${detail}`);
    process.exit(1);
  }
}
