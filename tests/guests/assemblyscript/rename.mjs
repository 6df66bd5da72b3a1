// SPDX-License-Identifier: Apache-2.0
// A transform of the AssemblyScript compiler: its exports are identifiers, those of a component have
// names like theater:simple/actor#init.
import { Transform } from 'assemblyscript/transform';

const ACTOR = 'theater:simple/actor#';
const CLIENT = 'theater:simple/message-server-client#';
const NAMES = {
  realloc: ['cabi_realloc'],
  init: [`${ACTOR}init`],
  handleSend: [`${CLIENT}handle-send`],
  handleRequest: [`${CLIENT}handle-request`],
  handleChannelOpen: [`${CLIENT}handle-channel-open`],
  handleChannelMessage: [`${CLIENT}handle-channel-message`],
  handleChannelClose: [`${CLIENT}handle-channel-close`],
  postPlain: [`${ACTOR}init`, ...['send', 'channel-message', 'channel-close'].map((kind) => `${CLIENT}handle-${kind}`)]
    .map((name) => `cabi_post_${name}`),
  postRequest: [`cabi_post_${CLIENT}handle-request`],
  postOpen: [`cabi_post_${CLIENT}handle-channel-open`],
};

export default class Rename extends Transform {
  afterCompile(module) {
    for (const [name, others] of Object.entries(NAMES)) {
      module.removeExport(name);
      for (const other of others) module.addFunctionExport(`guest/${name}`, other);
    }
  }
}
