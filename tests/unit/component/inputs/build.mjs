// SPDX-License-Identifier: Apache-2.0
// Assembles every .wat of this folder into the .wasm beside it, and makes a component without code of
// the world "root" of every .wit, with the wasm-tools that come in the
// npm package @bytecodealliance/jco-transpile:
//
//   npm install @bytecodealliance/jco-transpile && node build.mjs
//
// JCO_TRANSPILE may name the package's folder when it is installed elsewhere.
import fs from 'node:fs';
import path from 'node:path';
import url from 'node:url';

const here = path.dirname(url.fileURLToPath(import.meta.url));
const tools = process.env.JCO_TRANSPILE
    ?? path.join(process.cwd(), 'node_modules/@bytecodealliance/jco-transpile');
const wasmTools = await import(path.join(tools, 'vendor/wasm-tools.js'));
await wasmTools.$init;
for (const name of fs.readdirSync(here).filter(file => file.endsWith('.wat')).sort()) {
    const target = path.join(here, name.replace(/\.wat$/, '.wasm'));
    const binary = wasmTools.tools.parse(fs.readFileSync(path.join(here, name), 'utf8'));
    fs.writeFileSync(target, binary);
    console.log(`${path.basename(target)}: ${binary.length} bytes`);
}
for (const name of fs.readdirSync(here).filter(file => file.endsWith('.wit')).sort()) {
    const target = path.join(here, name.replace(/\.wit$/, '.wasm'));
    const witSource = fs.readFileSync(path.join(here, name), 'utf8');
    const core = wasmTools.tools.componentEmbed({ dummy: true, witSource, world: 'root' });
    const binary = wasmTools.tools.componentNew(core, []);
    fs.writeFileSync(target, binary);
    console.log(`${path.basename(target)}: ${binary.length} bytes`);
}
