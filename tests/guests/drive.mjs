// SPDX-License-Identifier: Apache-2.0
// A second opinion about the guests: runs actors on node, with the host functions of theater:simple
// written here in the simplest way that works, and prints what happens.
//
//   node drive.mjs MANIFEST.toml [--state TEXT] [send:TEXT | request:TEXT]…     (@self is the actor's id)
//
// The components are translated by @bytecodealliance/jco-transpile, so lifting and lowering are not
// ours. Nothing is limited or recorded here, and an endless loop is taken as a crash beforehand.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { findWasmTools } from '../../sdk/c/componentize.mjs';

const place = findWasmTools();
if (!place) throw new Error('@bytecodealliance/jco-transpile is not installed; see sdk/c/README.md');
const { transpileBytes } = await import(pathToFileURL(path.join(place, 'dist/index.js')).href);

const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'drive-'));
process.on('exit', () => fs.rmSync(scratch, { recursive: true, force: true }));

const encode = (text) => new TextEncoder().encode(text);
const decode = (bytes) => (bytes === undefined ? 'none' : new TextDecoder().decode(bytes));
const fail = (text) => {
  throw Object.assign(new Error(text), { payload: text });
};

// Translation is asynchronous, spawning is not: every manifest beneath the first one's folder is
// prepared before the first actor starts.
const programs = new Map();
async function prepare(manifest) {
  const text = fs.readFileSync(manifest, 'utf8');
  const component = path.join(path.dirname(manifest), /^component\s*=\s*"([^"]+)"/m.exec(text)[1]);
  const folder = path.join(scratch, String(programs.size));
  const { files } = await transpileBytes(fs.readFileSync(component), {
    name: 'actor',
    instantiation: 'sync',
    noTypescript: true,
  });
  for (const [name, bytes] of Object.entries(files)) {
    const file = path.join(folder, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, bytes);
  }
  fs.writeFileSync(path.join(folder, 'package.json'), '{"type":"module"}');
  const { instantiate } = await import(pathToFileURL(path.join(folder, 'actor.js')).href);
  const cores = new Map();
  const core = (name) => {
    if (!cores.has(name)) {
      cores.set(name, new WebAssembly.Module(fs.readFileSync(path.join(folder, name))));
    }
    return cores.get(name);
  };
  programs.set(path.resolve(manifest), {
    policy: /^restart\s*=\s*"([^"]+)"/m.exec(text)?.[1] ?? 'temporary',
    start: (imports) => instantiate(core, imports),
  });
}

const actors = new Map();
const queue = [];
const requests = new Map();
const channels = new Map();
const serials = {};
const newId = (kind) => `${kind}-${(serials[kind] = (serials[kind] ?? 0) + 1)}`;
const say = (actor, ...words) => console.log(`[${actor.id}]`, ...words);

/** The actor's function, or undefined. Interfaces are exported under their full name. */
function exported(actor, face, name) {
  const camel = name.replace(/-(.)/g, (_, c) => c.toUpperCase());
  return actor.instance[`theater:simple/${face}`]?.[camel];
}

/** One turn: the state goes in and comes out; an error or a trap keeps it. */
function turn(actor, face, name, params) {
  const func = exported(actor, face, name);
  if (!func) fail(`actor does not handle ${name}`);
  actor.busy = true;
  try {
    if (params.some((value) => value instanceof Uint8Array && decode(value) === 'loop')) {
      throw new Error('an endless loop');
    }
    const [state, ...rest] = func(actor.state, params);
    actor.state = state ?? actor.state;
    return rest[0]?.[0];
  } catch (thrown) {
    // An error of the guest is thrown as its bare text, or as an object that carries it.
    const error = typeof thrown === 'string' ? { payload: thrown } : thrown;
    failed(actor, error);
    fail(error.payload ?? 'actor crashed');
  } finally {
    actor.busy = false;
    if (actor.leaving) leave(actor, 'exit', actor.leaving.data);
  }
}

function failed(actor, error) {
  const crashed = error.payload === undefined;
  const text = crashed ? 'crashed' : error.payload;  // the text of a trap is node's affair
  say(actor, crashed ? 'CRASH' : `ERROR ${text}`);
  const parent = actor.parent;
  if (parent && actor.ready) {
    const data = encode(text);
    queue.push([parent, 'supervisor-handlers', 'handle-child-error', [actor.id, { errorType: 'internal', data }]]);
  }
  if (!crashed || !actor.ready) return;
  if (actor.program.policy === 'temporary') return void actors.delete(actor.id);
  say(actor, 'restarts');
  begin(actor);
}

function leave(actor, kind, data) {
  actors.delete(actor.id);
  say(actor, 'ends,', kind);
  if (actor.parent) {
    const params = kind === 'exit' ? [actor.id, data] : [actor.id];
    queue.push([actor.parent, 'supervisor-handlers', `handle-child-${kind}`, params]);
  }
  for (const [id, ends] of channels) if (ends.includes(actor)) closeChannel(actor, id);
}

function begin(actor) {
  actor.instance = actor.program.start(imports(actor));
  actor.state = actor.initial;
  actor.ready = false;
  turn(actor, 'actor', 'init', [actor.id]);
  actor.ready = true;
}

function spawn(manifest, state, parent) {
  const program = programs.get(path.resolve(parent?.folder ?? '.', manifest));
  if (!program) fail(`no manifest at ${manifest}`);
  const folder = path.dirname(path.resolve(parent?.folder ?? '.', manifest));
  const id = newId(path.basename(manifest, '.toml'));
  const actor = { id, program, folder, parent, initial: state };
  actors.set(actor.id, actor);
  try {
    begin(actor);
  } catch (error) {
    actors.delete(actor.id);
    throw error;
  }
  return actor;
}

const find = (id) => actors.get(id) ?? fail(`no actor has the id "${id}"`);

/** Delivers what waits, except to actors that are in a turn. */
function drain(until = () => false) {
  for (let i = 0; i < queue.length && !until(); ) {
    const [actor, ...call] = queue[i];
    if (actor.busy) {
      i++;
      continue;
    }
    queue.splice(i, 1);
    i = 0;
    if (!actors.has(actor.id)) continue;
    try {
      turn(actor, ...call);
    } catch (error) {
      if (error.payload === undefined) throw error;
    }
  }
}

function request(target, message) {
  const id = newId('request');
  if (target.busy) fail('the wait would close a cycle');
  requests.set(id, { target });
  const now = turn(target, 'message-server-client', 'handle-request', [id, message]);
  if (now === undefined) drain(() => requests.get(id)?.reply !== undefined);
  const reply = now ?? (requests.get(id) ?? fail('request was cancelled')).reply;
  requests.delete(id);
  return reply ?? fail('request timed out');
}

function openChannel(from, to, first) {
  const id = newId('channel');
  channels.set(id, [from, to]);
  const answer = turn(to, 'message-server-client', 'handle-channel-open', [id, first]);
  if (!answer.accepted) {
    channels.delete(id);
    fail(`channel refused: ${decode(answer.message)}`);
  }
  if (answer.message) {
    queue.push([from, 'message-server-client', 'handle-channel-message', [id, answer.message]]);
  }
  return id;
}

const other = (actor, id) => {
  const ends = channels.get(id);
  if (!ends?.includes(actor)) fail('channel is closed or unknown');
  return ends[0] === actor ? ends[1] : ends[0];
};

function closeChannel(actor, id) {
  queue.push([other(actor, id), 'message-server-client', 'handle-channel-close', [id]]);
  channels.delete(id);
}

const childOf = (actor, id) => {
  const child = find(id);
  return child.parent === actor ? child : fail('not a child of this actor');
};

function imports(actor) {
  return {
    'theater:simple/types': {},
    'theater:simple/runtime': {
      log: (line) => say(actor, line),
      getChain: () => ({ events: [{ hash: 1n, event: { eventType: 'x', parent: undefined, data: encode('y') } }] }),
      shutdown: (data) => void (actor.leaving = { data }),
      getState: () => actor.state ?? new Uint8Array(),
      self: () => actor.id,
    },
    'theater:simple/message-server-host': {
      send: (id, message) => void queue.push([find(id), 'message-server-client', 'handle-send', [message]]),
      request: (id, message) => request(find(id), message),
      openChannel: (id, first) => openChannel(actor, find(id), first),
      sendOnChannel: (id, message) =>
        void queue.push([other(actor, id), 'message-server-client', 'handle-channel-message', [id, message]]),
      closeChannel: (id) => closeChannel(actor, id),
      listOutstandingRequests: () =>
        [...requests].filter(([, { target, reply }]) => target === actor && !reply).map(([id]) => id),
      respondToRequest: (id, reply) => {
        if (requests.get(id)?.target !== actor) fail('requester is gone');
        requests.get(id).reply = reply;
      },
      cancelRequest: (id) => void requests.delete(id),
    },
    'theater:simple/timing': { now: () => 1700000000000n, sleep: () => {}, deadline: () => {} },
    'theater:simple/random': {
      randomBytes: (count) => new Uint8Array(count).fill(7),
      randomRange: (min, max) => (min < max ? max - 1n : fail('empty range')),
      randomFloat: () => 0.25,
      generateUuid: () => '00000000-0000-4000-8000-000000000000',
    },
    'theater:simple/supervisor': {
      spawn: (manifest, state) => spawn(manifest, state, actor).id,
      resume: (manifest, state) => spawn(manifest, state, actor).id,
      listChildren: () => [...actors.values()].filter((child) => child.parent === actor).map((child) => child.id),
      stopChild: (id) => void actors.delete(childOf(actor, id).id),
      restartChild: (id) => begin(childOf(actor, id)),
      getChildState: (id) => childOf(actor, id).state,
      getChildEvents: (id) =>
        childOf(actor, id) && [
          { hash: new Uint8Array(32), parentHash: undefined, eventType: 'spawned', data: encode(''), timestamp: 1n },
          { hash: new Uint8Array(32), parentHash: new Uint8Array(32), eventType: 'log', data: encode('z'), timestamp: 2n },
        ],
    },
  };
}

const [manifest, ...words] = process.argv.slice(2);
const below = path.dirname(path.resolve(manifest));
for (const name of fs.readdirSync(below).filter((name) => name.endsWith('.toml'))) {
  await prepare(path.join(below, name));
}
const state = words[0] === '--state' ? encode(words.splice(0, 2)[1]) : undefined;
try {
  const actor = spawn(manifest, state, undefined);
  drain();
  for (const word of words) {
    const [, kind, text] = /^(send|request):(.*)$/s.exec(word);
    const shown = text.replaceAll('@self', actor.id);
    console.log(`> ${kind} ${shown}`);
    try {
      if (kind === 'request') console.log('<', decode(request(actor, encode(shown))));
      else turn(actor, 'message-server-client', 'handle-send', [encode(shown)]);
    } catch (error) {
      console.log('< error', error.payload ?? error);
    }
    drain();
  }
  console.log('state', decode(actor.state));
} catch (error) {
  console.log('error', error.payload ?? error);
}
