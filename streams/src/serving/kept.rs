//! States as stores keep them.

use crate::data::{Data, DataError, Payload};
use crate::serving::aggregate::State;

/// A state as a value of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept<S>(pub(crate) S);

impl<S: State> Data for Kept<S> {
    fn encode<'a>(&'a self, scratch: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, DataError> {
        self.0.encode(scratch);
        Ok(Some(scratch))
    }

    fn decode(payload: Payload<'_>) -> Result<Self, DataError> {
        read(payload.require("a state")?).map(Self)
    }
}

/// A state that is all of these bytes.
pub(crate) fn read<S: State>(mut bytes: &[u8]) -> Result<S, DataError> {
    let state = S::decode(&mut bytes)?;
    match bytes {
        [] => Ok(state),
        more => Err(DataError::new(format!(
            "{} bytes behind the end of a state",
            more.len()
        ))),
    }
}
