// SPDX-License-Identifier: Apache-2.0
//! The calls of the runtime, one module per interface. Each manifest must have the handler that the
//! module names. Errors are the runtime's sentences.

use crate::abi::{take_bytes, take_string};

/// Where the runtime puts a result that does not fit into one value: a `result` is 0 or 1 in its
/// first byte, then what it holds; a list is its address and its length.
type Area = [u32; 4];

unsafe fn text_or_nothing(area: Area) -> Result<(), String> {
    if area[0] as u8 == 0 {
        return Ok(());
    }
    Err(take_string(area[1] as usize, area[2] as usize))
}

unsafe fn bytes(area: Area) -> Result<Vec<u8>, String> {
    let bytes = take_bytes(area[1] as usize, area[2] as usize);
    if area[0] as u8 == 0 {
        return Ok(bytes);
    }
    Err(String::from_utf8_unchecked(bytes))
}

unsafe fn text(area: Area) -> Result<String, String> {
    bytes(area).map(|bytes| String::from_utf8_unchecked(bytes))
}

/// A result of eight bytes stands at offset eight, its error at offset eight too.
unsafe fn eight_bytes(area: [u64; 2]) -> Result<u64, String> {
    if area[0] as u8 == 0 {
        return Ok(area[1]);
    }
    Err(take_string(
        area[1] as u32 as usize,
        (area[1] >> 32) as usize,
    ))
}

/// `[[handler]] type = "runtime"`
pub mod runtime {
    use super::*;

    #[link(wasm_import_module = "theater:simple/runtime")]
    extern "C" {
        #[link_name = "log"]
        fn host_log(text: *const u8, size: usize);
        #[link_name = "shutdown"]
        fn host_shutdown(is_some: u32, data: *const u8, size: usize, result: *mut Area);
        #[link_name = "get-state"]
        fn host_get_state(result: *mut [u32; 2]);
        #[link_name = "self"]
        fn host_self(result: *mut [u32; 2]);
    }

    /// Writes a line to the actor's log and to its chain.
    pub fn log(text: &str) {
        unsafe { host_log(text.as_ptr(), text.len()) }
    }

    /// Ends the actor after this turn; its parent gets `data`.
    pub fn shutdown(data: Option<&[u8]>) -> Result<(), String> {
        let given = data.unwrap_or_default();
        let mut area = Area::default();
        unsafe {
            host_shutdown(
                data.is_some() as u32,
                given.as_ptr(),
                given.len(),
                &mut area,
            );
            text_or_nothing(area)
        }
    }

    /// The state that this turn began with; empty when there is none.
    pub fn get_state() -> Vec<u8> {
        let mut area = [0; 2];
        unsafe {
            host_get_state(&mut area);
            take_bytes(area[0] as usize, area[1] as usize)
        }
    }

    /// The actor's own id.
    pub fn own_id() -> String {
        let mut area = [0; 2];
        unsafe {
            host_self(&mut area);
            take_string(area[0] as usize, area[1] as usize)
        }
    }
}

/// `[[handler]] type = "message-server"`
pub mod message_server {
    use super::*;

    /// A function of an id and a message.
    type Sender = unsafe extern "C" fn(*const u8, usize, *const u8, usize, *mut Area);

    #[link(wasm_import_module = "theater:simple/message-server-host")]
    extern "C" {
        #[link_name = "send"]
        fn host_send(a: *const u8, an: usize, m: *const u8, mn: usize, result: *mut Area);
        #[link_name = "request"]
        fn host_request(a: *const u8, an: usize, m: *const u8, mn: usize, result: *mut Area);
        #[link_name = "open-channel"]
        fn host_open(a: *const u8, an: usize, m: *const u8, mn: usize, result: *mut Area);
        #[link_name = "send-on-channel"]
        fn host_send_on(c: *const u8, cn: usize, m: *const u8, mn: usize, result: *mut Area);
        #[link_name = "close-channel"]
        fn host_close(channel: *const u8, size: usize, result: *mut Area);
        #[link_name = "list-outstanding-requests"]
        fn host_list(result: *mut [u32; 2]);
        #[link_name = "respond-to-request"]
        fn host_respond(r: *const u8, rn: usize, m: *const u8, mn: usize, result: *mut Area);
        #[link_name = "cancel-request"]
        fn host_cancel(request: *const u8, size: usize, result: *mut Area);
    }

    fn call(sender: Sender, id: &str, message: &[u8]) -> Area {
        let mut area = Area::default();
        unsafe {
            sender(
                id.as_ptr(),
                id.len(),
                message.as_ptr(),
                message.len(),
                &mut area,
            )
        };
        area
    }

    /// Sends a one-way message.
    pub fn send(actor_id: &str, message: &[u8]) -> Result<(), String> {
        let area = call(host_send, actor_id, message);
        unsafe { text_or_nothing(area) }
    }

    /// Sends a request and waits for the reply.
    pub fn request(actor_id: &str, message: &[u8]) -> Result<Vec<u8>, String> {
        let area = call(host_request, actor_id, message);
        unsafe { bytes(area) }
    }

    /// Asks an actor for a channel and waits for its consent; gives the channel's id.
    pub fn open_channel(actor_id: &str, message: &[u8]) -> Result<String, String> {
        let area = call(host_open, actor_id, message);
        unsafe { text(area) }
    }

    /// Sends on a channel of which this actor is one end.
    pub fn send_on_channel(channel_id: &str, message: &[u8]) -> Result<(), String> {
        let area = call(host_send_on, channel_id, message);
        unsafe { text_or_nothing(area) }
    }

    /// Closes a channel; the other end is told.
    pub fn close_channel(channel_id: &str) -> Result<(), String> {
        let mut area = Area::default();
        unsafe {
            host_close(channel_id.as_ptr(), channel_id.len(), &mut area);
            text_or_nothing(area)
        }
    }

    /// Ids of the requests that this actor still owes a reply, oldest first.
    pub fn list_outstanding_requests() -> Vec<String> {
        let mut area = [0u32; 2];
        unsafe {
            host_list(&mut area);
            if area[1] == 0 {
                return Vec::new();
            }
            // The list was allocated as that many pairs of words, so a Vec of pairs can free it.
            let (place, count) = (area[0] as *mut [u32; 2], area[1] as usize);
            let pairs = Vec::from_raw_parts(place, count, count);
            pairs
                .iter()
                .map(|pair| take_string(pair[0] as usize, pair[1] as usize))
                .collect()
        }
    }

    /// Answers a request that was answered with `None`; works from any handler.
    pub fn respond_to_request(request_id: &str, reply: &[u8]) -> Result<(), String> {
        let area = call(host_respond, request_id, reply);
        unsafe { text_or_nothing(area) }
    }

    /// Refuses a request that is still owed a reply.
    pub fn cancel_request(request_id: &str) -> Result<(), String> {
        let mut area = Area::default();
        unsafe {
            host_cancel(request_id.as_ptr(), request_id.len(), &mut area);
            text_or_nothing(area)
        }
    }
}

/// `[[handler]] type = "timing"`
pub mod timing {
    use super::*;

    #[link(wasm_import_module = "theater:simple/timing")]
    extern "C" {
        #[link_name = "now"]
        fn host_now() -> u64;
        #[link_name = "sleep"]
        fn host_sleep(duration: u64, result: *mut Area);
        #[link_name = "deadline"]
        fn host_deadline(timestamp: u64, result: *mut Area);
    }

    /// Milliseconds since 1970.
    pub fn now() -> u64 {
        unsafe { host_now() }
    }

    /// Waits for so many milliseconds; only this actor waits.
    pub fn sleep(duration_ms: u64) -> Result<(), String> {
        let mut area = Area::default();
        unsafe {
            host_sleep(duration_ms, &mut area);
            text_or_nothing(area)
        }
    }

    /// Waits until a time in milliseconds since 1970; one that has passed is no wait.
    pub fn deadline(timestamp_ms: u64) -> Result<(), String> {
        let mut area = Area::default();
        unsafe {
            host_deadline(timestamp_ms, &mut area);
            text_or_nothing(area)
        }
    }
}

/// `[[handler]] type = "random"`
pub mod random {
    use super::*;

    #[link(wasm_import_module = "theater:simple/random")]
    extern "C" {
        #[link_name = "random-bytes"]
        fn host_bytes(length: u32, result: *mut Area);
        #[link_name = "random-range"]
        fn host_range(min: u64, max: u64, result: *mut [u64; 2]);
        #[link_name = "random-float"]
        fn host_float(result: *mut [u64; 2]);
        #[link_name = "generate-uuid"]
        fn host_uuid(result: *mut Area);
    }

    /// Random bytes.
    pub fn random_bytes(length: u32) -> Result<Vec<u8>, String> {
        let mut area = Area::default();
        unsafe {
            host_bytes(length, &mut area);
            bytes(area)
        }
    }

    /// A number from `min` up to but not including `max`.
    pub fn random_range(min: u64, max: u64) -> Result<u64, String> {
        let mut area = [0; 2];
        unsafe {
            host_range(min, max, &mut area);
            eight_bytes(area)
        }
    }

    /// A number from 0 up to but not including 1.
    pub fn random_float() -> Result<f64, String> {
        let mut area = [0; 2];
        unsafe {
            host_float(&mut area);
            eight_bytes(area).map(f64::from_bits)
        }
    }

    /// A random UUID.
    pub fn generate_uuid() -> Result<String, String> {
        let mut area = Area::default();
        unsafe {
            host_uuid(&mut area);
            text(area)
        }
    }
}
