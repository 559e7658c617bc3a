//! Stand-in model providers.

fn main() {}
