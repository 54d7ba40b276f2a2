//! How many bytes a thread holds: what it has allocated less what it has freed. A test program that asks
//! makes [`Counting`] its global allocator.
#![allow(unsafe_code, reason = "a global allocator cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator, which counts.
pub struct Counting;

fn count(change: isize) {
    // The allocator also runs while a thread ends, when its counter is gone.
    let _ = HELD.try_with(|held| held.set(held.get() + change));
}

// SAFETY: every call goes to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Bytes that this thread holds. Negative if it has freed what others allocated.
#[must_use]
pub fn held() -> isize {
    HELD.with(Cell::get)
}
