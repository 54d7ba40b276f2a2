//! The bytes that a value is read from.

use bytes::Bytes;

use super::DataError;

/// Key or value of a record as it was received.
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a> {
    bytes: Option<&'a [u8]>,
    /// The buffer that `bytes` lies in.
    buffer: Option<&'a Bytes>,
}

impl<'a> Payload<'a> {
    /// Bytes of their own; `None` is null.
    #[must_use]
    pub fn new(bytes: Option<&'a [u8]>) -> Self {
        Self {
            bytes,
            buffer: None,
        }
    }

    /// Bytes within a received buffer, so that [`Self::to_bytes`] need not copy.
    #[must_use]
    #[inline]
    pub fn within(bytes: Option<&'a [u8]>, buffer: &'a Bytes) -> Self {
        Self {
            bytes,
            buffer: Some(buffer),
        }
    }

    /// Other bytes of the same buffer; `None` is null.
    #[must_use]
    #[inline]
    pub fn part(&self, bytes: Option<&'a [u8]>) -> Self {
        Self {
            bytes,
            buffer: self.buffer,
        }
    }

    /// The bytes; `None` is null.
    #[must_use]
    #[inline]
    pub fn bytes(&self) -> Option<&'a [u8]> {
        self.bytes
    }

    /// The bytes of a value that is not null.
    ///
    /// # Errors
    ///
    /// [`DataError`] if it is null; `expected` names what should have been there, "a string", say.
    #[inline]
    pub fn require(&self, expected: &str) -> Result<&'a [u8], DataError> {
        self.bytes.ok_or_else(|| DataError::null(expected))
    }

    /// The bytes as a slice of the received buffer, which lives as long as the slice.
    #[must_use]
    #[inline]
    pub fn to_bytes(&self) -> Option<Bytes> {
        let bytes = self.bytes?;
        Some(match self.buffer {
            // An empty slice need not lie in the buffer.
            Some(buffer) if !bytes.is_empty() => buffer.slice_ref(bytes),
            _ => Bytes::copy_from_slice(bytes),
        })
    }
}
