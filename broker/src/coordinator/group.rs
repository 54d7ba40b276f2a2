//! Classic consumer groups.
