//! `weir`: check, render and run AI gateway resources on Envoy.

pub mod plan;

fn main() {}
