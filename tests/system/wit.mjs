// SPDX-License-Identifier: Apache-2.0
// Reads WIT text on standard input and writes a component without code of its world "root":
//
//   node wit.mjs COMPONENT.wasm <TEXT.wit
//
// So the text is WIT in the eyes of wasm-tools. Exit code 77 when that is not installed.
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

import { findWasmTools } from '../../sdk/c/componentize.mjs';

const folder = findWasmTools();
if (!folder) process.exit(77);
const { $init, tools } = await import(pathToFileURL(path.join(folder, 'vendor/wasm-tools.js')).href);
await $init;
try {
  const witSource = fs.readFileSync(0, 'utf8');
  const core = tools.componentEmbed({ dummy: true, witSource, world: 'root' });
  fs.writeFileSync(process.argv[2], tools.componentNew(core, []));
} catch (error) {
  console.error(error?.payload ?? error?.message ?? String(error));
  process.exit(1);
}
