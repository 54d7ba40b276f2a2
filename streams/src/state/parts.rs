//! Parts of stored values: bytes behind their length. Numbers are big-endian.

use crate::data::DataError;

/// A length that says that there is nothing.
const NULL: u32 = u32::MAX;

/// The length of something, in four bytes.
pub(super) fn length(len: usize) -> Result<u32, DataError> {
    let len = u32::try_from(len).ok().filter(|len| *len < NULL);
    len.ok_or_else(|| DataError::new("something of more than 4 GiB"))
}

/// Appends bytes, or that there are none.
pub(super) fn put(out: &mut Vec<u8>, bytes: Option<&[u8]>) -> Result<(), DataError> {
    let len = bytes.map_or(Ok(NULL), |bytes| length(bytes.len()))?;
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(bytes.unwrap_or_default());
    Ok(())
}

fn short() -> DataError {
    DataError::new("a stored value that ends early")
}

/// The next `N` bytes.
pub(super) fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], DataError> {
    let (taken, left) = rest.split_first_chunk::<N>().ok_or_else(short)?;
    *rest = left;
    Ok(*taken)
}

/// What [`put`] has appended.
pub(super) fn take_bytes<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, DataError> {
    let len = u32::from_be_bytes(take(rest)?);
    if len == NULL {
        return Ok(None);
    }
    let len = usize::try_from(len).map_err(|_| short())?;
    let (taken, left) = rest.split_at_checked(len).ok_or_else(short)?;
    *rest = left;
    Ok(Some(taken))
}
