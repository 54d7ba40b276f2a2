//! Cases about watermarks by themselves: generators and combinations.

use crate::case::Case;

pub(crate) fn run(_case: &Case) -> Result<(), String> {
    Err("nobody runs such a case".to_owned())
}
