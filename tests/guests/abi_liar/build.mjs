// SPDX-License-Identifier: Apache-2.0
// Builds abi_liar.wasm, the guest of tests/fuzz/abi_fuzz.c: a component that does with the canonical
// ABI what bytes from its host say.
//
//   npm install @bytecodealliance/jco-transpile && node build.mjs [--wat]
//
// JCO_TRANSPILE may name the package's folder when it is installed elsewhere; --wat prints the text.
//
// For every type K of the list below and every string encoding E (utf8, utf16, latin1):
//
//   import take-K: func(x: T)         import make-K: func() -> T
//   export give-E-K: func(x: T)       calls take-K with what it was given
//   export lie-E-K: func()            calls take-K with what the script says
//   export get-E-K: func() -> T       returns what make-K gave, or what the script says
//   export prepare-E: func(n: u32)    pulls n words of script into memory, with
//   import pull: func() -> u64
//   import violation: func(n: u32)    the host let something pass that it must not
//
// Each encoding has a memory and a realloc of its own (one page, at most eight). The script lies at
// address 0, so that everything below can be set; what the host must refuse is noted in a global, out
// of the reach of what is written to memory:
//
//     0  flags: 1 get calls make-K, 2 get returns `result`, 4 the body grows memory
//     4  address that make-K is given for its result
//     8  what get returns: a core value, or the address of the result
//    16  what post-return does: 1 trap, 2 call an import, 3 grow memory
//    20  number of realloc calls so far
//    24  where realloc's next block begins
//    28  free
//    32  17 core values that lie gives to take-K
//   168  32 times what realloc does, and a number: 0 honest, 1 grows memory first, 2 answers with the
//        number, 3 with the end of memory less the number, 4 one too high, 5 traps, 6 calls an
//        import, 7 with a block that it gives again
//   512  free
import fs from 'node:fs';
import path from 'node:path';
import url from 'node:url';

const here = path.dirname(url.fileURLToPath(import.meta.url));

// ---- types: what they are called in the text format, and the core values they take --------------

const scalar = (text, flat) => ({text, flat: [flat], names: []});
const [bool, u8, s8, u16, s16, u32, s32, char] =
    ['bool', 'u8', 's8', 'u16', 's16', 'u32', 's32', 'char'].map(name => scalar(name, 'i32'));
const [u64, s64] = ['u64', 's64'].map(name => scalar(name, 'i64'));
const [f32, f64] = ['f32', 'f64'].map(name => scalar(name, name));
const string = {text: 'string', flat: ['i32', 'i32'], names: []};

const namesOf = types => types.flatMap(type => type ? type.names : []);
const flatOf = types => types.flatMap(type => type.flat);
const list = type => ({text: `(list ${type.text})`, flat: ['i32', 'i32'], names: type.names});
const tuple = (...types) =>
    ({text: `(tuple ${types.map(type => type.text).join(' ')})`, flat: flatOf(types),
      names: namesOf(types)});

const join = (a, b) => a === b ? a : [a, b].every(t => t === 'i32' || t === 'f32') ? 'i32' : 'i64';
const joined = payloads => {
    const flat = [];
    for (const payload of payloads)
        (payload ? payload.flat : []).forEach((type, i) => {
            flat[i] = flat[i] === undefined ? type : join(flat[i], type);
        });
    return ['i32', ...flat];
};
const option = type =>
    ({text: `(option ${type.text})`, flat: joined([type]), names: type.names});
const result = (ok, error) => ({
    text: `(result${ok ? ' ' + ok.text : ''}${error ? ` (error ${error.text})` : ''})`,
    flat: joined([ok, error]), names: namesOf([ok, error])});

// Records, variants, enums and flags have a name: they are imported as types.
const named = (name, text, flat, names) =>
    ({text: '$' + name, flat, names: [...names, {name, text}]});
const record = (name, fields) =>
    named(name, `(record ${Object.entries(fields).map(([k, t]) => `(field "${k}" ${t.text})`).join(' ')})`,
          flatOf(Object.values(fields)), namesOf(Object.values(fields)));
const variant = (name, cases) =>
    named(name, `(variant ${Object.entries(cases).map(([k, t]) => `(case "${k}"${t ? ' ' + t.text : ''})`).join(' ')})`,
          joined(Object.values(cases)), namesOf(Object.values(cases)));
const labels = count => Array.from({length: count}, (_, i) => `"l${i}"`).join(' ');
const enumeration = (name, count) => named(name, `(enum ${labels(count)})`, ['i32'], []);
const flags = (name, count) => named(name, `(flags ${labels(count)})`, ['i32'], []);

const mixed = variant('mixed', {a: u32, b: f64, c: string, d: null, e: f32});
const bytes = Object.fromEntries(Array.from({length: 16}, (_, i) => [`b${i}`, u8]));
const TYPES = [
    tuple(bool, u8, s8, u16, s16, u32, s32, u64, s64, f32, f64, char),
    string,
    list(u8),
    list(string),
    record('plain', {a: string, b: option(list(string)), c: u64}),
    mixed,
    result(list(f32), string),
    flags('nine', 9),
    flags('thirty-two', 32),
    enumeration('three', 3),
    enumeration('two-fifty-six', 256),
    enumeration('two-fifty-seven', 257),
    option(option(char)),
    list(list(u16)),
    record('wide', {...bytes, text: string, tail: list(u64)}),
    list(tuple(u8, u64, string)),
    char,
    f32,
    f64,
    result(null, null),
    list(mixed),
    tuple(mixed, mixed, mixed, mixed, mixed),
    list(f64),
    list(char),
    list(bool),
    bool,
    s8,
    u64,
    option(string),
    list(enumeration('many', 300)),
];

// ---- the memory of one encoding -----------------------------------------------------------------

const MEMORY = `
  (core module $memory
    (import "" "pull" (func $pull (result i64)))
    (memory (export "memory") 1 8)
    (global $bad (export "bad") (mut i32) (i32.const 0))
    (func (export "prepare") (param $words i32)
      (local $i i32)
      (block $done (loop $more
        (br_if $done (i32.ge_u (local.get $i) (local.get $words)))
        (i64.store (i32.shl (local.get $i) (i32.const 3)) (call $pull))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $more))))
    (func $end (result i64)
      (i64.shl (i64.extend_i32_u (memory.size)) (i64.const 16)))
    ;; Notes a block that the host must refuse.
    (func $note (param $at i32) (param $align i32) (param $size i32)
      (if (i32.or
            (i32.ne (i32.and (local.get $at) (i32.sub (local.get $align) (i32.const 1))) (i32.const 0))
            (i64.gt_u (i64.add (i64.extend_i32_u (local.get $at)) (i64.extend_i32_u (local.get $size)))
                      (call $end)))
        (then (global.set $bad (i32.const 1)))))
    (func $honest (param $align i32) (param $size i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and
        (i32.add (i32.load (i32.const 24)) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
      (block $fits (loop $more
        (br_if $fits (i64.le_u
          (i64.add (i64.extend_i32_u (local.get $at)) (i64.extend_i32_u (local.get $size)))
          (call $end)))
        (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))
        (global.set $bad (i32.const 1))
        (unreachable)))
      (i32.store (i32.const 24) (i32.add (local.get $at) (local.get $size)))
      (local.get $at))
    (func (export "realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32)
      (result i32)
      (local $i i32) (local $number i32) (local $at i32)
      (local.set $i (i32.load (i32.const 20)))
      (i32.store (i32.const 20) (i32.add (local.get $i) (i32.const 1)))
      (if (i32.ge_u (local.get $i) (i32.const 32))
        (then (return (call $honest (local.get $align) (local.get $size)))))
      (local.set $i (i32.add (i32.const 168) (i32.shl (local.get $i) (i32.const 3))))
      (local.set $number (i32.load offset=4 (local.get $i)))
      (block $again (block $leave (block $trap (block $high (block $back (block $given (block $grow
        (block $zero
          (br_table $zero $grow $given $back $high $trap $leave $again $zero (i32.load (local.get $i))))
        (return (call $honest (local.get $align) (local.get $size))))
        (drop (memory.grow (i32.const 1)))
        (return (call $honest (local.get $align) (local.get $size))))
        (call $note (local.get $number) (local.get $align) (local.get $size))
        (return (local.get $number)))
        (local.set $at (i32.sub (i32.wrap_i64 (call $end)) (local.get $number)))
        (call $note (local.get $at) (local.get $align) (local.get $size))
        (return (local.get $at)))
        (local.set $at (i32.add (call $honest (local.get $align) (local.get $size)) (i32.const 1)))
        (call $note (local.get $at) (local.get $align) (local.get $size))
        (return (local.get $at)))
        (global.set $bad (i32.const 1))
        (unreachable))
        (global.set $bad (i32.const 1))
        (drop (call $pull)))
      (local.set $at (call $honest (local.get $align) (local.get $size)))
      (i32.store (i32.const 24) (local.get $at))
      (local.get $at))
    (func $finish
      (local $what i32)
      (local.set $what (i32.load (i32.const 16)))
      (if (i32.eq (local.get $what) (i32.const 1)) (then (unreachable)))
      (if (i32.eq (local.get $what) (i32.const 2)) (then (drop (call $pull))))
      (if (i32.eq (local.get $what) (i32.const 3)) (then (drop (memory.grow (i32.const 1))))))
${['i32', 'i64', 'f32', 'f64'].map(type => `
    (func (export "finish-${type}") (param ${type}) (call $finish))`).join('')}
  )`;

// ---- the functions of all types -----------------------------------------------------------------

const spilled = type => type.flat.length > 16;
const takes = type => spilled(type) ? ['i32'] : type.flat;
const inMemory = type => type.flat.length > 1;
const gives = type => inMemory(type) ? 'i32' : type.flat[0];
const params = types => types.length ? ` (param ${types.join(' ')})` : '';

// The core value number i of the script.
const scripted = (type, i) => `(${type}.load (i32.const ${32 + 8 * i}))`;
const LOAD_RESULT = {
    i32: '(i32.load (i32.const 8))', i64: '(i64.load (i32.const 8))',
    f32: '(f32.load (i32.const 8))', f64: '(f64.load (i32.const 8))'};
const isSet = flag => `(i32.and (i32.load (i32.const 0)) (i32.const ${flag}))`;

const give = (type, k) => `
    (func (export "give-${k}")${params(takes(type))}
      (call $enter)
      (call $take-${k} ${takes(type).map((_, i) => `(local.get ${i})`).join(' ')}))
    (func (export "lie-${k}")
      (call $enter)
      (call $take-${k} ${takes(type).map(scripted).join(' ')}))`;

const get = (type, k) => `
    (func (export "get-${k}") (result ${gives(type)})
      (local $made ${gives(type)})
      (call $enter)
      (if ${isSet(1)}
        (then
          ${inMemory(type)
        ? `(call $make-${k} (i32.load (i32.const 4))) (local.set $made (i32.load (i32.const 4)))`
        : `(local.set $made (call $make-${k}))`}
          (call $check)))
      (if ${isSet(2)} (then (return ${LOAD_RESULT[gives(type)]})))
      (local.get $made))`;

const WORK = `
  (core module $work
    (import "" "memory" (memory 1))
    (import "" "bad" (global $bad (mut i32)))
    (import "" "violation" (func $violation (param i32)))
${TYPES.map((type, k) => `
    (import "" "take-${k}" (func $take-${k}${params(takes(type))}))
    (import "" "make-${k}" (func $make-${k}${inMemory(type) ? ' (param i32)' : ` (result ${gives(type)})`}))`)
        .join('')}
    (func $check
      (if (global.get $bad) (then (call $violation (i32.const 1)))))
    (func $enter
      (call $check)
      (if ${isSet(4)} (then (drop (memory.grow (i32.const 1))))))
${TYPES.map(give).join('')}
${TYPES.map(get).join('')}
  )`;

// ---- the component ------------------------------------------------------------------------------

const ENCODINGS = {utf8: 'utf8', utf16: 'utf16', latin1: 'latin1+utf16'};

const instance = (name, encoding) => `
  (core instance $memory-${name} (instantiate $memory (with "" (instance (export "pull" (func $pull-core))))))
  (alias core export $memory-${name} "memory" (core memory $m-${name}))
  (alias core export $memory-${name} "bad" (core global $bad-${name}))
  (alias core export $memory-${name} "realloc" (core func $realloc-${name}))
${['i32', 'i64', 'f32', 'f64'].map(type => `
  (alias core export $memory-${name} "finish-${type}" (core func $finish-${name}-${type}))`).join('')}
${TYPES.map((_, k) => ['take', 'make'].map(verb => `
  (core func $${verb}-${name}-${k} (canon lower (func $${verb}-${k})
    (memory $m-${name}) (realloc $realloc-${name}) string-encoding=${encoding}))`).join('')).join('')}
  (core instance $work-${name} (instantiate $work (with "" (instance
    (export "memory" (memory $m-${name}))
    (export "bad" (global $bad-${name}))
    (export "violation" (func $violation-core))
${TYPES.map((_, k) => ['take', 'make'].map(verb => `
    (export "${verb}-${k}" (func $${verb}-${name}-${k}))`).join('')).join('')}))))
  (func (export "prepare-${name}") (param "n" u32)
    (canon lift (core func $memory-${name} "prepare")))
${TYPES.map((type, k) => `
  (func (export "give-${name}-${k}") (param "x" ${type.text})
    (canon lift (core func $work-${name} "give-${k}")
      (memory $m-${name}) (realloc $realloc-${name}) string-encoding=${encoding}))
  (func (export "lie-${name}-${k}")
    (canon lift (core func $work-${name} "lie-${k}")))
  (func (export "get-${name}-${k}") (result ${type.text})
    (canon lift (core func $work-${name} "get-${k}")
      (memory $m-${name}) (realloc $realloc-${name}) string-encoding=${encoding}
      (post-return $finish-${name}-${gives(type)})))`).join('')}`;

const declared = new Map(TYPES.flatMap(type => type.names).map(({name, text}) => [name, text]));
const COMPONENT = `(component
${[...declared].map(([name, text]) => `
  (type $${name}-here ${text})
  (import "${name}" (type $${name} (eq $${name}-here)))`).join('')}
  (import "pull" (func $pull (result u64)))
  (import "violation" (func $violation (param "n" u32)))
${TYPES.map((type, k) => `
  (import "take-${k}" (func $take-${k} (param "x" ${type.text})))
  (import "make-${k}" (func $make-${k} (result ${type.text})))`).join('')}
  (core func $pull-core (canon lower (func $pull)))
  (core func $violation-core (canon lower (func $violation)))
${MEMORY}
${WORK}
${Object.entries(ENCODINGS).map(([name, encoding]) => instance(name, encoding)).join('')}
)`;

if (process.argv.includes('--wat')) {
    process.stdout.write(COMPONENT + '\n');
} else {
    const tools = process.env.JCO_TRANSPILE
        ?? path.join(process.cwd(), 'node_modules/@bytecodealliance/jco-transpile');
    const wasmTools = await import(path.join(tools, 'vendor/wasm-tools.js'));
    await wasmTools.$init;
    const binary = wasmTools.tools.parse(COMPONENT);
    fs.writeFileSync(path.join(here, 'abi_liar.wasm'), binary);
    console.log(`abi_liar.wasm: ${binary.length} bytes`);
}
