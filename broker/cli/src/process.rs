//! What belongs to the process, whatever its command is.

pub(crate) mod logging;
pub(crate) mod signals;
