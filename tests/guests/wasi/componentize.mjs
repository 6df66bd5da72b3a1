// SPDX-License-Identifier: Apache-2.0
// Turns a core module on WASI preview 1 into a component on WASI 0.2.
//
//   node componentize.mjs CORE.wasm WORLD.wit WORLD TOOLS COMPONENT.wasm
//
// TOOLS is the folder in which npm installed @bytecodealliance/jco.
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [core, wit, world, folder, output] = process.argv.slice(2);
const scope = path.resolve(folder, fs.existsSync(path.join(folder, 'node_modules')) ? 'node_modules' : '.', '@bytecodealliance');
const { $init, tools } = await import(pathToFileURL(path.join(scope, 'jco-transpile/vendor/wasm-tools.js')).href);
await $init;
try {
  const embedded = tools.componentEmbed({
    binary: fs.readFileSync(core),
    witSource: fs.readFileSync(wit, 'utf8'),
    world,
    stringEncoding: 'utf8',
  });
  const adapter = fs.readFileSync(path.join(scope, 'jco/lib/wasi_snapshot_preview1.reactor.wasm'));
  fs.writeFileSync(output, tools.componentNew(embedded, [['wasi_snapshot_preview1', adapter]]));
} catch (error) {
  console.error(`componentize: ${error?.payload ?? error?.message ?? error}`);
  process.exit(1);
}
