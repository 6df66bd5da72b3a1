// SPDX-License-Identifier: Apache-2.0
// Makes echo.wasm of echo.wat and echo.wit, with the wasm-tools that come in the npm package
// @bytecodealliance/jco-transpile:
//
//   npm install @bytecodealliance/jco-transpile && node build.mjs
//
// JCO_TRANSPILE may name the package's folder when it is installed elsewhere.
import fs from 'node:fs';
import path from 'node:path';
import url from 'node:url';

const here = path.dirname(url.fileURLToPath(import.meta.url));
const folder = process.env.JCO_TRANSPILE
    ?? path.join(process.cwd(), 'node_modules/@bytecodealliance/jco-transpile');
const { $init, tools } = await import(path.join(folder, 'vendor/wasm-tools.js'));
await $init;
const read = name => fs.readFileSync(path.join(here, name), 'utf8');
const core = tools.componentEmbed({
    binary: tools.parse(read('echo.wat')), witSource: read('echo.wit'), world: 'echo',
    stringEncoding: 'utf8' });
const component = tools.componentNew(core, []);
fs.writeFileSync(path.join(here, 'echo.wasm'), component);
console.log(`echo.wasm: ${component.length} bytes`);
