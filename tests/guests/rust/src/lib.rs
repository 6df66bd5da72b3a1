// SPDX-License-Identifier: Apache-2.0
// The test guest of tests/guests/README.md, "Guests from other toolchains", in Rust.
use theater::{actor, message_server, random, runtime, timing, Answer, ChannelAccept, State};

/// The count stands in the first four bytes of the state; what follows is ballast.
fn read_count(state: &State) -> u32 {
    match state.as_deref() {
        Some([a, b, c, d, ..]) => u32::from_le_bytes([*a, *b, *c, *d]),
        _ => 0,
    }
}

fn write_count(count: u32) -> State {
    Some(count.to_le_bytes().to_vec())
}

fn on_init(state: State, own_id: String) -> Result<State, String> {
    runtime::log(&format!("init: {own_id}"));
    if own_id == "fail" {
        return Err("refused: fail".to_string());
    }
    Ok(write_count(read_count(&state)))
}

fn on_send(state: State, message: Vec<u8>) -> Result<State, String> {
    let count = read_count(&state) + 1;
    runtime::log(&format!("send #{count}: {} bytes", message.len()));
    if let Some(order) = message.strip_prefix(b"fwd:") {
        let order = String::from_utf8_lossy(order);
        let (to, text) = order.split_once(':').unwrap_or((&order, ""));
        message_server::send(to, text.as_bytes())?;
    }
    Ok(write_count(count))
}

/// A state of `size` bytes: the count, then a pattern that the size request sums up.
fn ballast(count: u32, size: usize) -> State {
    let mut state = count.to_le_bytes().to_vec();
    state.extend((4..size).map(|at| (at % 251) as u8));
    Some(state)
}

fn describe(state: &State) -> String {
    let bytes = state.as_deref().unwrap_or_default();
    let sum: u64 = bytes.iter().skip(4).map(|byte| u64::from(*byte)).sum();
    format!("{} bytes, sum {sum}", bytes.len())
}

/// Calls what the rest of the guest does not, and says what came back, where that is always the same.
fn try_bindings() -> Result<String, String> {
    let start = timing::now();
    timing::sleep(2)?;
    timing::deadline(start)?;
    let has_slept = timing::now() >= start + 2;
    let float = random::random_float()?;
    let lines = [
        format!("{} keeps {:?}", runtime::own_id(), runtime::get_state()),
        format!("slept {has_slept}"),
        format!("{} bytes", random::random_bytes(5)?.len()),
        format!("range {}", random::random_range(1 << 40, (1 << 40) + 1)?),
        format!("no range {}", random::random_range(4, 3).is_err()),
        format!("float {}", (0.0..1.0).contains(&float)),
        format!("uuid {}", random::generate_uuid()?.len()),
        message_server::request("nobody", b"x").unwrap_err(),
        message_server::open_channel("nobody", b"x").unwrap_err(),
        message_server::close_channel("no-channel").unwrap_err(),
        message_server::cancel_request("no-request").unwrap_err(),
    ];
    Ok(lines.join("; "))
}

fn on_request(state: State, id: String, mut message: Vec<u8>) -> Answer<Option<Vec<u8>>> {
    let count = read_count(&state) + 1;
    match &message[..] {
        b"async" => {
            runtime::log(&format!(
                "outstanding: {}",
                message_server::list_outstanding_requests().len()
            ));
            let _ = message_server::respond_to_request(&id, b"later");
            return Ok((write_count(count), None));
        }
        b"fail" => return Err("nicht möglich: ✗".to_string()),
        b"trap" => panic!("über die Grenze"),
        b"bindings" => return Ok((None, Some(try_bindings()?.into_bytes()))),
        b"end" => runtime::shutdown(Some(b"bye"))?,
        b"size" => return Ok((None, Some(describe(&state).into_bytes()))),
        b"grow" => return Ok((ballast(count, 1 << 20), Some(b"grown".to_vec()))),
        _ => {}
    }
    if let Some(text) = message.strip_prefix(b"upper:") {
        let upper = String::from_utf8_lossy(text).to_uppercase();
        runtime::log(&upper);
        return Ok((write_count(count), Some(upper.into_bytes())));
    }
    message.reverse();
    Ok((write_count(count), Some(message)))
}

fn on_open(state: State, who: String, message: Vec<u8>) -> Answer<ChannelAccept> {
    let accept = ChannelAccept {
        accepted: !message.is_empty(),
        message: Some(format!("hi {who}").into_bytes()),
    };
    Ok((write_count(read_count(&state) + 1), accept))
}

fn on_message(state: State, channel: String, message: Vec<u8>) -> Result<State, String> {
    message_server::send_on_channel(&channel, &message)?;
    Ok(write_count(read_count(&state) + 1))
}

fn on_close(state: State, channel: String) -> Result<State, String> {
    runtime::log(&format!("closed {channel}"));
    Ok(write_count(read_count(&state) + 1))
}

actor! {
    init: on_init,
    handle_send: on_send,
    handle_request: on_request,
    handle_channel_open: on_open,
    handle_channel_message: on_message,
    handle_channel_close: on_close,
}
