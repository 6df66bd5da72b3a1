// SPDX-License-Identifier: Apache-2.0
// Makes wasi_all.wasm: a component without code that imports every function of WASI 0.2, so that a
// test can compare the types that the host expects with those that are published.
//
//   node tests/guests/wasi_all/build.mjs TOOLS [OUTPUT]
//
// TOOLS is the folder in which npm installed @bytecodealliance/jco, which carries WASI's WIT.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const VERSION = '0.2.12';
const PACKAGES = ['io', 'clocks', 'random', 'cli', 'filesystem', 'sockets', 'http'];
// What a host does not provide: exports of other worlds, and what is not part of 0.2 for good.
const LEFT_OUT = ['wasi:cli/run', 'wasi:http/incoming-handler', 'wasi:clocks/timezone'];

const here = path.dirname(fileURLToPath(import.meta.url));
const [folder, output = path.join(here, 'wasi_all.wasm')] = process.argv.slice(2);
const inside = fs.existsSync(path.join(folder, 'node_modules')) ? 'node_modules' : '.';
const scope = path.resolve(folder, inside, '@bytecodealliance');

const imports = [];
const packages = PACKAGES.map((name) => {
  const file = path.join(scope, 'jco/lib/wit/builtin', VERSION, `wasi-${name}`, 'package.wit');
  const text = fs
    .readFileSync(file, 'utf8')
    .replace(/^\s*\/\/.*\n/gm, '')
    .replace(/^package .*;$/m, '')
    .replace(/(@\w+\([^)]*\)\s*)*world [\w-]+ \{[^}]*\}/g, '');
  for (const [, found] of text.matchAll(/^interface ([\w-]+)/gm)) {
    const full = `wasi:${name}/${found}`;
    if (!LEFT_OUT.includes(full)) imports.push(`  import ${full}@${VERSION};\n`);
  }
  return `package wasi:${name}@${VERSION} {${text}}\n`;
});
const witSource = `package theater:all;\nworld all {\n${imports.join('')}}\n${packages.join('')}`;

const { $init, tools } = await import(
  pathToFileURL(path.join(scope, 'jco-transpile/vendor/wasm-tools.js')).href
);
await $init;
const embedded = tools.componentEmbed({ dummy: true, witSource, world: 'all' });
fs.writeFileSync(output, tools.componentNew(embedded, []));
