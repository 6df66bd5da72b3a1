// SPDX-License-Identifier: Apache-2.0
//! The canonical ABI of exported functions: memory for the arguments, which the runtime asks for and
//! the handler then owns, and the area where the answer stands until it has been read.
//!
//! Only `actor!` uses this. One export runs at a time in an instance, so there is one answer.
use std::alloc::{alloc, handle_alloc_error, realloc as grow, Layout};
use std::ptr::addr_of_mut;
use std::sync::Once;

use crate::{Answer, ChannelAccept, State};

/// `cabi_realloc`: memory that `Vec` can take over. An empty list needs none.
///
/// # Safety
/// `old` is null or what this function gave for `old_size` and `align`.
pub unsafe fn realloc(old: *mut u8, old_size: usize, align: usize, size: usize) -> *mut u8 {
    if size == 0 {
        return align as *mut u8;
    }
    let layout = Layout::from_size_align_unchecked(size, align);
    let place = if old_size == 0 {
        alloc(layout)
    } else {
        grow(
            old,
            Layout::from_size_align_unchecked(old_size, align),
            size,
        )
    };
    if place.is_null() {
        handle_alloc_error(layout);
    }
    place
}

/// Called at the start of every export: from the first one on, panics are logged.
pub fn enter() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        std::panic::set_hook(Box::new(|panic| crate::runtime::log(&panic.to_string())))
    });
}

/// Takes over a list of bytes that `realloc` made room for.
///
/// # Safety
/// `place` and `size` are an argument of an export, used once.
pub unsafe fn take_bytes(place: usize, size: usize) -> Vec<u8> {
    if size == 0 {
        return Vec::new();
    }
    Vec::from_raw_parts(place as *mut u8, size, size)
}

/// Takes over a string; the runtime has checked that it is UTF-8.
///
/// # Safety
/// As `take_bytes`.
pub unsafe fn take_string(place: usize, size: usize) -> String {
    String::from_utf8_unchecked(take_bytes(place, size))
}

/// Takes over an optional list of bytes.
///
/// # Safety
/// As `take_bytes`.
pub unsafe fn take_option(is_some: u32, place: usize, size: usize) -> Option<Vec<u8>> {
    if is_some == 0 {
        return None;
    }
    Some(take_bytes(place, size))
}

/// Words of the longest answer: error or not, three of the state, four of a channel-accept.
const WORDS: usize = 8;

/// The answer of the running export. `words` is what the runtime reads, `lent` what it points to.
struct Area {
    words: [u32; WORDS],
    lent: Vec<Vec<u8>>,
}

static mut AREA: Area = Area {
    words: [0; WORDS],
    lent: Vec::new(),
};

impl Area {
    fn put_bytes(&mut self, at: usize, bytes: Vec<u8>) {
        self.words[at] = bytes.as_ptr() as u32;
        self.words[at + 1] = bytes.len() as u32;
        self.lent.push(bytes);
    }

    fn put_option(&mut self, at: usize, option: Option<Vec<u8>>) {
        if let Some(bytes) = option {
            self.words[at] = 1;
            self.put_bytes(at + 1, bytes);
        }
    }
}

/// What a handler may give back, and how the part behind the state is laid out.
pub trait Handled {
    #[doc(hidden)]
    fn split(self) -> Result<(State, Part), String>;
}

/// The part of an answer behind the state.
#[doc(hidden)]
pub enum Part {
    Nothing,
    Reply(Option<Vec<u8>>),
    Accept(ChannelAccept),
}

impl Handled for Result<State, String> {
    fn split(self) -> Result<(State, Part), String> {
        self.map(|state| (state, Part::Nothing))
    }
}

impl Handled for Answer<Option<Vec<u8>>> {
    fn split(self) -> Result<(State, Part), String> {
        self.map(|(state, reply)| (state, Part::Reply(reply)))
    }
}

impl Handled for Answer<ChannelAccept> {
    fn split(self) -> Result<(State, Part), String> {
        self.map(|(state, accept)| (state, Part::Accept(accept)))
    }
}

/// Lays out an answer. It stands until `release_answer`.
///
/// # Safety
/// Called by an export, which no other call may enter meanwhile.
pub unsafe fn answer<T: Handled>(handled: T) -> *const u32 {
    let area = &mut *addr_of_mut!(AREA);
    area.words = [0; WORDS];
    match handled.split() {
        Err(text) => {
            area.words[0] = 1;
            area.put_bytes(1, text.into_bytes());
        }
        Ok((state, part)) => {
            area.put_option(1, state);
            match part {
                Part::Nothing => {}
                Part::Reply(reply) => area.put_option(4, reply),
                Part::Accept(accept) => {
                    area.words[4] = accept.accepted as u32;
                    area.put_option(5, accept.message);
                }
            }
        }
    }
    area.words.as_ptr()
}

/// Post-return: the runtime has read the answer.
///
/// # Safety
/// As `answer`.
pub unsafe fn release_answer() {
    (*addr_of_mut!(AREA)).lent.clear();
}
