// SPDX-License-Identifier: Apache-2.0
// The counter in JavaScript: a send counts; a request asks or counts. The state is the JSON text
// {"count":N}.
import { log } from 'theater:simple/runtime';

// QuickJS has no TextEncoder; these two functions know UTF-8.
const encode = (text) =>
  Uint8Array.from(unescape(encodeURIComponent(text)), (char) => char.charCodeAt(0));
const decode = (bytes) => decodeURIComponent(escape(String.fromCharCode(...bytes)));

const readCount = (state) => (state ? JSON.parse(decode(state)).count : 0);
const writeCount = (count) => encode(JSON.stringify({ count }));

export const actor = {
  init(state, [ownId]) {
    const count = readCount(state);
    if (!Number.isInteger(count)) throw 'the initial state must be {"count":NUMBER}';
    log(`counter ${ownId} starts at ${count}`);
    return [writeCount(count)];
  },
};

// A component exports all functions of an interface or none, so those for channels are here too.
export const messageServerClient = {
  handleSend(state, [message]) {
    const count = readCount(state) + 1;
    log(`count is ${count} after a message of ${message.length} bytes`);
    return [writeCount(count)];
  },

  handleRequest(state, [requestId, message]) {
    let count = readCount(state);
    const { action } = JSON.parse(decode(message));
    if (action === 'increment') count += 1;
    else if (action !== 'get') throw 'unknown action; send {"action":"get"} or {"action":"increment"}';
    return [writeCount(count), [writeCount(count)]];
  },

  handleChannelOpen(state, [channelId, message]) {
    return [state, [{ accepted: false, message: encode('a counter has no channels') }]];
  },
  handleChannelMessage: (state) => [state],
  handleChannelClose: (state) => [state],
};
