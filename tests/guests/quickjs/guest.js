// SPDX-License-Identifier: Apache-2.0
// The test guest of tests/guests/README.md, "Guests from other toolchains", in JavaScript for QuickJS.
import { log } from 'theater:simple/runtime';
import {
  listOutstandingRequests,
  respondToRequest,
  send,
  sendOnChannel,
} from 'theater:simple/message-server-host';

// QuickJS has no TextEncoder; these two functions know UTF-8.
const encode = (text) =>
  Uint8Array.from(unescape(encodeURIComponent(text)), (char) => char.charCodeAt(0));
const decode = (bytes) => decodeURIComponent(escape(String.fromCharCode(...bytes)));

/** The count stands in the first four bytes of the state; what follows is ballast. */
function readCount(state) {
  if (!state || state.length < 4) return 0;
  return new DataView(Uint8Array.from(state.slice(0, 4)).buffer).getUint32(0, true);
}

function writeCount(count, size = 4) {
  const state = new Uint8Array(size);
  new DataView(state.buffer).setUint32(0, count, true);
  for (let at = 4; at < size; at++) state[at] = at % 251;
  return state;
}

function describe(state) {
  const bytes = state ?? [];
  let sum = 0;
  for (let at = 4; at < bytes.length; at++) sum += bytes[at];
  return `${bytes.length} bytes, sum ${sum}`;
}

export const actor = {
  init(state, [ownId]) {
    log(`init: ${ownId}`);
    if (ownId === 'fail') throw 'refused: fail';
    return [writeCount(readCount(state))];
  },
};

export const messageServerClient = {
  handleSend(state, [message]) {
    const count = readCount(state) + 1;
    log(`send #${count}: ${message.length} bytes`);
    const [, to, text] = /^fwd:([^:]*):?(.*)$/s.exec(decode(message)) ?? [];
    if (to !== undefined) send(to, encode(text));
    return [writeCount(count)];
  },

  handleRequest(state, [id, message]) {
    const count = readCount(state) + 1;
    const text = message.length < 100 ? decode(message) : '';
    if (text === 'async') {
      log(`outstanding: ${listOutstandingRequests().length}`);
      respondToRequest(id, encode('later'));
      return [writeCount(count), [null]];
    }
    if (text === 'fail') throw 'nicht möglich: ✗';
    if (text === 'trap') throw new Error('über die Grenze');
    if (text === 'crash') return 'no tuple';
    if (text === 'size') return [null, [encode(describe(state))]];
    if (text === 'grow') return [writeCount(count, 1 << 20), [encode('grown')]];
    if (text.startsWith('upper:')) {
      const upper = text.slice(6).toUpperCase();
      log(upper);
      return [writeCount(count), [encode(upper)]];
    }
    return [writeCount(count), [Uint8Array.from(message).reverse()]];
  },

  handleChannelOpen(state, [who, message]) {
    const accept = { accepted: message.length > 0, message: encode(`hi ${who}`) };
    return [writeCount(readCount(state) + 1), [accept]];
  },

  handleChannelMessage(state, [channel, message]) {
    sendOnChannel(channel, Uint8Array.from(message));
    return [writeCount(readCount(state) + 1)];
  },

  handleChannelClose(state, [channel]) {
    log(`closed ${channel}`);
    return [writeCount(readCount(state) + 1)];
  },
};
