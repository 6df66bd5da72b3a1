// SPDX-License-Identifier: Apache-2.0
// The test guest of tests/guests/README.md, "Guests from other toolchains", in AssemblyScript.
//
// AssemblyScript has no bindings generator, so the canonical ABI is written out: lists and strings
// are an address and a length, an answer stands in `answer` until its post-return function has run.
// Its strings are UTF-16, and so is the component's string encoding. rename.mjs gives the exports their names.

@external("theater:simple/runtime", "log")
declare function hostLog(text: usize, length: u32): void;
@external("theater:simple/message-server-host", "send")
declare function hostSend(to: usize, toLength: u32, at: usize, size: u32, result: usize): void;
@external("theater:simple/message-server-host", "send-on-channel")
declare function hostSendOn(to: usize, toLength: u32, at: usize, size: u32, result: usize): void;
@external("theater:simple/message-server-host", "respond-to-request")
declare function hostRespond(id: usize, idLength: u32, at: usize, size: u32, result: usize): void;
@external("theater:simple/message-server-host", "list-outstanding-requests")
declare function hostList(result: usize): void;

const answer = memory.data(32, 4);
const result = memory.data(12, 4);

/** Called where the language traps, instead of the import that asc would add. */
function onAbort(message: string | null, file: string | null, line: u32, column: u32): void {
  log("abort: " + (message ? message : "") + " at line " + line.toString());
  unreachable();
}

/** Memory for arguments. They are freed by the handlers, answers by the post-return functions. */
export function realloc(old: usize, oldSize: u32, align: u32, size: u32): usize {
  if (size == 0) return align;
  return oldSize == 0 ? heap.alloc(size) : heap.realloc(old, size);
}

function free(at: usize, size: u32): void {
  if (size != 0) heap.free(at);
}

function log(text: string): void {
  hostLog(changetype<usize>(text), text.length);
}

function takeText(at: usize, length: u32): string {
  const text = length == 0 ? "" : String.UTF16.decodeUnsafe(at, length << 1);
  free(at, length);
  return text;
}

function utf8(at: usize, size: u32): string {
  return size == 0 ? "" : String.UTF8.decodeUnsafe(at, size);
}

function copy(at: usize, size: u32): usize {
  if (size == 0) return 1;
  const place = heap.alloc(size);
  memory.copy(place, at, size);
  return place;
}

/** The count stands in the first four bytes of the state; what follows is ballast. */
function takeCount(isSome: u32, at: usize, size: u32): u32 {
  if (!isSome) return 0;
  const count = size >= 4 ? load<u32>(at) : 0;
  free(at, size);
  return count;
}

function answerError(text: string): usize {
  memory.fill(answer, 0, 32);
  store<u32>(answer, 1);
  store<usize>(answer, copy(changetype<usize>(text), text.length << 1), 4);
  store<u32>(answer, text.length, 8);
  return answer;
}

/** ok, with a state of `size` bytes: the count, then a pattern. */
function answerState(count: u32, size: u32 = 4): usize {
  memory.fill(answer, 0, 32);
  const state = heap.alloc(size);
  store<u32>(state, count);
  for (let at: u32 = 4; at < size; at++) store<u8>(state + at, <u8>(at % 251));
  store<u32>(answer, 1, 4);
  store<usize>(answer, state, 8);
  store<u32>(answer, size, 12);
  return answer;
}

/** Adds an optional list of bytes at an offset of the answer. */
function answerBytes(offset: usize, at: usize, size: u32): usize {
  store<u32>(answer + offset, 1);
  store<usize>(answer + offset, at, 4);
  store<u32>(answer + offset, size, 8);
  return answer;
}

function answerText(offset: usize, text: string): usize {
  const bytes = String.UTF8.encode(text);
  return answerBytes(offset, copy(changetype<usize>(bytes), bytes.byteLength), bytes.byteLength);
}

/** The error text of a host call, or null. */
function refusal(): string | null {
  return load<u8>(result) == 0 ? null : takeText(load<usize>(result, 4), load<u32>(result, 8));
}

function release(offset: usize): void {
  if (load<u8>(answer) != 0) {
    free(load<usize>(answer, 4), load<u32>(answer, 8));
    return;
  }
  if (load<u8>(answer, 4)) free(load<usize>(answer, 8), load<u32>(answer, 12));
  if (offset != 0 && load<u8>(answer + offset)) {
    free(load<usize>(answer + offset, 4), load<u32>(answer + offset, 8));
  }
}

export function init(some: u32, state: usize, size: u32, id: usize, idLength: u32): usize {
  const ownId = takeText(id, idLength);
  const count = takeCount(some, state, size);
  log("init: " + ownId);
  return ownId == "fail" ? answerError("refused: fail") : answerState(count);
}

export function handleSend(some: u32, state: usize, stateSize: u32, at: usize, size: u32): usize {
  const count = takeCount(some, state, stateSize) + 1;
  const text = utf8(at, size);
  free(at, size);
  log("send #" + count.toString() + ": " + size.toString() + " bytes");
  if (text.startsWith("fwd:")) {
    const order = text.slice(4).split(":");
    const body = String.UTF8.encode(order.slice(1).join(":"));
    hostSend(changetype<usize>(order[0]), order[0].length, changetype<usize>(body), body.byteLength, result);
    const error = refusal();
    if (error) return answerError(error);
  }
  return answerState(count);
}

function describe(some: u32, state: usize, size: u32): string {
  let sum: u64 = 0;
  for (let at: u32 = 4; some && at < size; at++) sum += load<u8>(state + at);
  return (some ? size : 0).toString() + " bytes, sum " + sum.toString();
}

/** Answers the request that asks for a later reply at once, by the call for late ones. */
function respondLater(id: string, count: u32): usize {
  hostList(result);
  const list = load<usize>(result);
  const length = load<u32>(result, 4);
  for (let i: u32 = 0; i < length; i++) free(load<usize>(list + i * 8), load<u32>(list + i * 8, 4));
  free(list, length);
  log("outstanding: " + length.toString());
  const later = String.UTF8.encode("later");
  hostRespond(changetype<usize>(id), id.length, changetype<usize>(later), later.byteLength, result);
  refusal();
  return answerState(count);
}

function reversed(at: usize, size: u32): usize {
  const place: usize = size == 0 ? <usize>1 : heap.alloc(size);
  for (let i: u32 = 0; i < size; i++) store<u8>(place + i, load<u8>(at + size - 1 - i));
  return place;
}

export function handleRequest(
  some: u32, state: usize, stateSize: u32, id: usize, idLength: u32, at: usize, size: u32,
): usize {
  const requestId = takeText(id, idLength);
  const text = size < 100 ? utf8(at, size) : "";
  if (text == "size") {
    const description = describe(some, state, stateSize);
    memory.fill(answer, 0, 32);
    free(at, size);
    if (some) free(state, stateSize);
    return answerText(16, description);
  }
  const count = takeCount(some, state, stateSize) + 1;
  const mirror = reversed(at, size);
  free(at, size);
  if (text.startsWith("upper:")) {
    const upper = text.slice(6).toUpperCase();
    log(upper);
    free(mirror, size);
    answerState(count);
    return answerText(16, upper);
  }
  if (text == "trap") throw new Error("über die Grenze");
  if (text == "async" || text == "fail" || text == "grow") {
    free(mirror, size);
    if (text == "async") return respondLater(requestId, count);
    if (text == "fail") return answerError("nicht möglich: ✗");
    answerState(count, 1 << 20);
    return answerText(16, "grown");
  }
  answerState(count);
  return answerBytes(16, mirror, size);
}

export function handleChannelOpen(
  some: u32, state: usize, stateSize: u32, who: usize, whoLength: u32, at: usize, size: u32,
): usize {
  const count = takeCount(some, state, stateSize) + 1;
  const greeting = "hi " + takeText(who, whoLength);
  free(at, size);
  answerState(count);
  store<u8>(answer, size > 0 ? 1 : 0, 16);
  return answerText(20, greeting);
}

export function handleChannelMessage(
  some: u32, state: usize, stateSize: u32, channel: usize, channelLength: u32, at: usize, size: u32,
): usize {
  const count = takeCount(some, state, stateSize) + 1;
  hostSendOn(channel, channelLength, at, size, result);
  free(channel, channelLength);
  free(at, size);
  const error = refusal();
  return error ? answerError(error) : answerState(count);
}

export function handleChannelClose(
  some: u32, state: usize, stateSize: u32, channel: usize, channelLength: u32,
): usize {
  const count = takeCount(some, state, stateSize) + 1;
  log("closed " + takeText(channel, channelLength));
  return answerState(count);
}

/** Post-return of everything without an answer behind the state. */
export function postPlain(at: usize): void {
  release(0);
}

export function postRequest(at: usize): void {
  release(16);
}

export function postOpen(at: usize): void {
  release(20);
}
