//! Memory that will be needed soon.

/// What the processor fetches at once.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;

/// Asks the processor for all of a value's lines, and waits for none of them. Where there is no way to ask
/// this does nothing.
#[cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "there is no safe way to ask the processor")
)]
#[inline]
pub(super) fn ask_for<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let first = std::ptr::from_ref(value).cast::<i8>();
        let size = size_of::<T>();
        let lines = (0..size).step_by(LINE).chain(size.checked_sub(1));
        for at in lines {
            // SAFETY: it is within the value, and nothing is read or written: it is a hint, which cannot fail
            // wherever it points.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(first.wrapping_add(at)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}
