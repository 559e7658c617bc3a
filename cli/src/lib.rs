//! What the `weir` command is made of; `main.rs` only reads the command line.

pub mod plan;
pub mod render;
