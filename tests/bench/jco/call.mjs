// SPDX-License-Identifier: Apache-2.0
// The calls of theater-actor-bench on jco and node: the benchmark guest transpiled to JavaScript,
// handle-send called with a 64-byte message and a 16-byte state, nothing recorded.
//
//   node call.mjs GUEST.wasm       (jco from npm, found from the working folder or
//                                   $THEATER_WASM_TOOLS, as sdk/c/theater-cc finds its tools)
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const tools = process.env.THEATER_WASM_TOOLS ?? process.cwd();
const require = createRequire(path.join(path.resolve(tools), 'package.json'));
let jco;
try {
  jco = await import(pathToFileURL(require.resolve('@bytecodealliance/jco-transpile')));
} catch {
  console.log('jco: skipped (npm i @bytecodealliance/jco; THEATER_WASM_TOOLS names the folder)');
  process.exit(0);
}

const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'theater-jco-'));
try {
  const bytes = fs.readFileSync(process.argv[2]);
  const { files } = await jco.transpileBytes(bytes, {
    name: 'guest', instantiation: 'sync', noTypescript: true, wasiShim: false,
  });
  for (const [name, content] of Array.isArray(files) ? files : Object.entries(files)) {
    const target = path.join(folder, name);
    fs.mkdirSync(path.dirname(target), { recursive: true });
    fs.writeFileSync(target, content);
  }
  fs.writeFileSync(path.join(folder, 'package.json'), '{"type":"module"}');
  const { instantiate } = await import(pathToFileURL(path.join(folder, 'guest.js')).href);
  const modules = new Map();
  const core = (name) => {
    if (!modules.has(name)) {
      modules.set(name, new WebAssembly.Module(fs.readFileSync(path.join(folder, name))));
    }
    return modules.get(name);
  };
  const unused = () => { throw new Error('not called'); };
  const imports = {
    'theater:simple/message-server-host': { send: unused, request: unused },
    'theater:simple/supervisor': { spawn: unused },
  };
  const make = () => instantiate(core, imports);
  const guest = make();
  const send = guest['theater:simple/message-server-client'].handleSend;
  const message = new Uint8Array(64);
  message[0] = '.'.charCodeAt(0);
  const state = new Uint8Array(16);
  const measure = (count, step) => {
    const times = [];
    for (let round = 0; round < 11; round++) {
      const start = process.hrtime.bigint();
      for (let i = 0; i < count; i++) step();
      times.push(Number(process.hrtime.bigint() - start) / count);
    }
    return median(times);
  };
  const call = measure(100000, () => send(state, [message]));
  console.log(`jco on node ${process.version}: call handle-send: ${call.toFixed(0)} ns`);
  console.log(`jco on node ${process.version}: instantiate: ${measure(500, make).toFixed(0)} ns`);
} finally {
  fs.rmSync(folder, { recursive: true, force: true });
}
