//! The package as its users see it, by topic.

mod support;
mod tokens;
