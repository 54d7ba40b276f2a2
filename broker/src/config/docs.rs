//! docs/configuration.md, made from the tables.

/// The whole document.
pub fn markdown() -> String {
    String::new()
}
