// SPDX-License-Identifier: Apache-2.0
// The half of test_values.py that needs node. Reads a job as JSON from standard input:
//
//   node values.mjs build   {"guests": [{"wit", "world", "wat", "encoding", "file"}…]} makes components
//   node values.mjs call    {"component", "interface", "calls": [{"name", "params", "result", "args"}…]}
//                           calls them on jco, prints [{"value"} | {"error"}…]
//
// Types and values are as in values.py; integers and the bits of floats are strings. Exit code 77
// when jco-transpile is not installed.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

import { findWasmTools } from '../../sdk/c/componentize.mjs';

const place = findWasmTools();
if (!place) process.exit(77);
const load = (file) => import(pathToFileURL(path.join(place, file)).href);

async function build({ guests }) {
  const { $init, tools } = await load('vendor/wasm-tools.js');
  await $init;
  for (const { wit, world, wat, encoding, file } of guests) {
    const core = tools.componentEmbed({
      binary: tools.parse(wat),
      witSource: wit,
      world,
      stringEncoding: encoding,
    });
    fs.writeFileSync(file, tools.componentNew(core, []));
  }
}

const camel = (label) => label.replace(/-(.)/g, (_, c) => c.toUpperCase());
const ARRAYS = {
  u8: Uint8Array,
  s8: Int8Array,
  u16: Uint16Array,
  s16: Int16Array,
  u32: Uint32Array,
  s32: Int32Array,
  u64: BigUint64Array,
  s64: BigInt64Array,
  f32: Float32Array,
  f64: Float64Array,
};
const scratch = new DataView(new ArrayBuffer(8));

function fromBits(kind, text) {
  scratch.setBigUint64(0, BigInt(text));
  return kind === 'f32' ? scratch.getFloat32(4) : scratch.getFloat64(0);
}

/** A NaN is none in particular in JavaScript. */
function toBits(kind, number) {
  scratch.setBigUint64(0, 0n);
  if (kind === 'f32') scratch.setFloat32(4, Number.isNaN(number) ? NaN : number);
  else scratch.setFloat64(0, Number.isNaN(number) ? NaN : number);
  return String(scratch.getBigUint64(0));
}

/** Whether undefined is a value, so that an option around it has to be an object. */
const nullable = (type) => type.kind === 'option' && !nullable(type.item);

/** What jco takes for a value. */
function toJs(type, value) {
  const { kind } = type;
  switch (kind) {
    case 'bool':
    case 'string':
      return value;
    case 'char':
      return String.fromCodePoint(Number(value));
    case 'f32':
    case 'f64':
      return fromBits(kind, value);
    case 'u64':
    case 's64':
      return BigInt(value);
    case 'list': {
      const items = value.map((item) => toJs(type.item, item));
      const typed = ARRAYS[type.item.kind];
      return typed ? typed.from(items) : items;
    }
    case 'tuple':
      return value.map((part, i) => toJs(type.fields[i], part));
    case 'record':
      return Object.fromEntries(value.map((part, i) => [camel(type.labels[i]), toJs(type.fields[i], part)]));
    case 'flags':
      return Object.fromEntries(type.labels.map((label, i) => [camel(label), value.includes(String(i))]));
    case 'enum':
      return type.labels[Number(value)];
    case 'option':
      if (value[0] === '0') return nullable(type.item) ? { tag: 'none' } : undefined;
      return nullable(type.item) ? { tag: 'some', val: toJs(type.item, value[1]) } : toJs(type.item, value[1]);
    case 'result':
    case 'variant': {
      const labels = kind === 'result' ? ['ok', 'err'] : type.labels;
      const payload = type.cases[value[0]];
      return payload ? { tag: labels[value[0]], val: toJs(payload, value[1]) } : { tag: labels[value[0]] };
    }
    default:
      return Number(value);
  }
}

/** The value for what jco gives. */
function fromJs(type, js) {
  const { kind } = type;
  switch (kind) {
    case 'bool':
    case 'string':
      return js;
    case 'char':
      return String(js.codePointAt(0));
    case 'f32':
    case 'f64':
      return toBits(kind, js);
    case 'list':
      return Array.from(js, (item) => fromJs(type.item, item));
    case 'tuple':
      return type.fields.map((field, i) => fromJs(field, js[i]));
    case 'record':
      return type.fields.map((field, i) => fromJs(field, js[camel(type.labels[i])]));
    case 'flags':
      return type.labels.flatMap((label, i) => (js[camel(label)] ? [String(i)] : []));
    case 'enum':
      return String(type.labels.indexOf(js));
    case 'option':
      if (nullable(type.item)) return js.tag === 'some' ? ['1', fromJs(type.item, js.val)] : ['0', null];
      return js === undefined ? ['0', null] : ['1', fromJs(type.item, js)];
    case 'result':
    case 'variant': {
      const number = (kind === 'result' ? ['ok', 'err'] : type.labels).indexOf(js.tag);
      const payload = type.cases[number];
      return [String(number), payload ? fromJs(payload, js.val) : null];
    }
    default:
      return String(js);
  }
}

/** A result<ok, err> as the result of a function comes as its payload, which is thrown when it is err. */
function callOne(func, { params, result, args }) {
  const js = args.map((value, i) => toJs(params[i], value));
  if (result?.kind !== 'result') {
    const value = func(...js);
    return { value: result ? fromJs(result, value) : null };
  }
  try {
    const [ok] = result.cases;
    const value = func(...js);
    return { value: ['0', ok ? fromJs(ok, value) : null] };
  } catch (thrown) {
    const isError = thrown instanceof Error;
    if (isError && !('payload' in thrown)) throw thrown;
    const [, err] = result.cases;
    return { value: ['1', err ? fromJs(err, isError ? thrown.payload : thrown) : null] };
  }
}

async function transpiled(component, folder) {
  const { transpileBytes } = await load('dist/index.js');
  const { files } = await transpileBytes(fs.readFileSync(component), {
    name: 'guest',
    instantiation: 'sync',
    noTypescript: true,
    wasiShim: false,
  });
  for (const [name, bytes] of Object.entries(files)) {
    const file = path.join(folder, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, bytes);
  }
  fs.writeFileSync(path.join(folder, 'package.json'), '{"type":"module"}');
  const { instantiate } = await import(pathToFileURL(path.join(folder, 'guest.js')).href);
  const cores = new Map();
  const core = (name) => {
    if (!cores.has(name)) cores.set(name, new WebAssembly.Module(fs.readFileSync(path.join(folder, name))));
    return cores.get(name);
  };
  return () => instantiate(core, {});
}

async function call({ component, interface: face, calls }) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'values-'));
  try {
    const start = await transpiled(component, folder);
    const results = calls.map((one) => {
      try {
        return callOne(start()[face][camel(one.name)], one);
      } catch (error) {
        return { error: String(error?.stack ?? error) };
      }
    });
    console.log(JSON.stringify(results));
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

try {
  const job = JSON.parse(fs.readFileSync(0, 'utf8'));
  await { build, call }[process.argv[2]](job);
} catch (error) {
  console.error(error?.payload ?? error?.stack ?? String(error));
  process.exit(1);
}
