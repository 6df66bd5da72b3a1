// SPDX-License-Identifier: Apache-2.0
//! Actors for the Theater runtime in Rust, without any other crate.
//!
//! An actor is a crate of type `cdylib` that names its handlers once:
//!
//! ```ignore
//! fn on_init(state: State, own_id: String) -> Result<State, String> { … }
//! fn on_request(state: State, request_id: String, message: Vec<u8>) -> Answer<Option<Vec<u8>>> { … }
//!
//! theater::actor! {
//!     init: on_init,
//!     handle_request: on_request,
//! }
//! ```
//!
//! Only the handlers that are named are exported; the runtime answers other kinds of message with
//! an error of its own. Build for `wasm32-unknown-unknown` and turn the module into a component with
//! `sdk/c/componentize.mjs`, which derives the world from the module; or for `wasm32-wasip1`, to use
//! files, clocks and the like of the standard library. See `README.md`.
//!
//! Here are the interfaces `actor`, `message-server-client`, `message-server-host`, `runtime`
//! (without `get-chain`), `timing` and `random`. The binding is written by hand after the canonical
//! ABI: `abi` holds what exports need, `host` the calls of the runtime.

#[doc(hidden)]
pub mod abi;
mod host;

pub use host::{message_server, random, runtime, timing};

/// What an actor keeps between turns. As the answer of a handler, `None` keeps the current one.
pub type State = Option<Vec<u8>>;

/// What a handler that answers gives back: the next state and the answer, or an error, which leaves
/// the state as it was and reaches whoever asked.
pub type Answer<T> = Result<(State, T), String>;

/// The answer to the opening of a channel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelAccept {
    /// Whether there is a channel from now on.
    pub accepted: bool,
    /// The first message to the opener, or the reason of the refusal.
    pub message: Option<Vec<u8>>,
}

/// Exports the handlers of an actor. Exactly one use per actor; `init` is required by the runtime.
///
/// | name | function |
/// |---|---|
/// | `init` | `fn(State, own_id: String) -> Result<State, String>` |
/// | `handle_send` | `fn(State, message: Vec<u8>) -> Result<State, String>` |
/// | `handle_request` | `fn(State, request_id: String, message: Vec<u8>) -> Answer<Option<Vec<u8>>>`; `None` answers later, with `message_server::respond_to_request` |
/// | `handle_channel_open` | `fn(State, channel_id: String, message: Vec<u8>) -> Answer<ChannelAccept>` |
/// | `handle_channel_message` | `fn(State, channel_id: String, message: Vec<u8>) -> Result<State, String>` |
/// | `handle_channel_close` | `fn(State, channel_id: String) -> Result<State, String>` |
///
/// A panic in a handler is logged with its place and then traps, which the runtime takes as a crash.
#[macro_export]
macro_rules! actor {
    ($($kind:ident: $function:path),+ $(,)?) => {
        #[export_name = "cabi_realloc"]
        unsafe extern "C" fn theater_realloc(
            old: *mut u8,
            old_size: usize,
            align: usize,
            size: usize,
        ) -> *mut u8 {
            $crate::abi::realloc(old, old_size, align, size)
        }
        /// Makes what the C library beneath `std` needs, once, when the instance is made. Without it
        /// the linker would do so around every export, `cabi_realloc` too, where WASI must not be
        /// called.
        #[cfg(target_os = "wasi")]
        #[export_name = "_initialize"]
        unsafe extern "C" fn theater_initialize() {
            extern "C" {
                fn __wasm_call_ctors();
            }
            __wasm_call_ctors();
        }
        $($crate::theater_export!($kind, $function);)+
    };
}

/// One handler of `actor!`: the core function, and the post-return function that frees its answer.
#[doc(hidden)]
#[macro_export]
macro_rules! theater_export {
    (init, $function:path) => {
        $crate::theater_export!("theater:simple/actor#init", (id, id_size), |state| {
            $function(state, $crate::abi::take_string(id, id_size))
        });
    };
    (handle_send, $function:path) => {
        $crate::theater_export!(
            "theater:simple/message-server-client#handle-send",
            (message, size),
            |state| $function(state, $crate::abi::take_bytes(message, size))
        );
    };
    (handle_request, $function:path) => {
        $crate::theater_export!(
            "theater:simple/message-server-client#handle-request",
            (id, id_size, message, size),
            |state| $function(
                state,
                $crate::abi::take_string(id, id_size),
                $crate::abi::take_bytes(message, size)
            )
        );
    };
    (handle_channel_open, $function:path) => {
        $crate::theater_export!(
            "theater:simple/message-server-client#handle-channel-open",
            (id, id_size, message, size),
            |state| $function(
                state,
                $crate::abi::take_string(id, id_size),
                $crate::abi::take_bytes(message, size)
            )
        );
    };
    (handle_channel_message, $function:path) => {
        $crate::theater_export!(
            "theater:simple/message-server-client#handle-channel-message",
            (id, id_size, message, size),
            |state| $function(
                state,
                $crate::abi::take_string(id, id_size),
                $crate::abi::take_bytes(message, size)
            )
        );
    };
    (handle_channel_close, $function:path) => {
        $crate::theater_export!(
            "theater:simple/message-server-client#handle-channel-close",
            (id, id_size),
            |state| $function(state, $crate::abi::take_string(id, id_size))
        );
    };
    ($name:literal, ($($param:ident),+), |$state:ident| $call:expr) => {
        const _: () = {
            #[export_name = $name]
            unsafe extern "C" fn enter(
                has_state: u32,
                state: usize,
                state_size: usize,
                $($param: usize),+
            ) -> *const u32 {
                $crate::abi::enter();
                let $state = $crate::abi::take_option(has_state, state, state_size);
                $crate::abi::answer($call)
            }

            #[export_name = concat!("cabi_post_", $name)]
            unsafe extern "C" fn leave(_answer: *const u32) {
                $crate::abi::release_answer();
            }
        };
    };
    ($kind:ident, $function:path) => {
        compile_error!(concat!(
            "an actor has no handler `",
            stringify!($kind),
            "`; there are init, handle_send, handle_request, handle_channel_open, ",
            "handle_channel_message and handle_channel_close"
        ));
    };
}
