// SPDX-License-Identifier: Apache-2.0
// The counter in Rust: a send counts; the request "get" asks, "increment" counts. The state is the
// count as text.
use theater::{actor, runtime, Answer, State};

fn read_count(state: &State) -> Result<u64, String> {
    let text = String::from_utf8_lossy(state.as_deref().unwrap_or(b"0"));
    text.parse()
        .map_err(|_| format!("the state must be a number, not \"{text}\""))
}

fn write_count(count: u64) -> State {
    Some(count.to_string().into_bytes())
}

fn on_init(state: State, own_id: String) -> Result<State, String> {
    let count = read_count(&state)?;
    runtime::log(&format!("counter {own_id} starts at {count}"));
    Ok(write_count(count))
}

fn on_send(state: State, message: Vec<u8>) -> Result<State, String> {
    let count = read_count(&state)? + 1;
    runtime::log(&format!(
        "count is {count} after a message of {} bytes",
        message.len()
    ));
    Ok(write_count(count))
}

fn on_request(state: State, _request_id: String, message: Vec<u8>) -> Answer<Option<Vec<u8>>> {
    let mut count = read_count(&state)?;
    match &message[..] {
        b"get" => {}
        b"increment" => count += 1,
        _ => return Err("unknown action; send get or increment".to_string()),
    }
    Ok((write_count(count), write_count(count)))
}

actor! {
    init: on_init,
    handle_send: on_send,
    handle_request: on_request,
}
