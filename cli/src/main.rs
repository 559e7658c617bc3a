//! `weir`: check, render and run AI gateway resources on Envoy.

fn main() {}
