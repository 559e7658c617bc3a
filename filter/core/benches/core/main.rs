//! What the parts of a request cost: `cargo bench -p weir-core`, or `cargo bench -p weir-core -- scan` for some of
//! them.
//!
//! Under callgrind, which counts instructions, one round is enough:
//! `valgrind --tool=callgrind target/release/deps/core-* --bench --sample-count 1 --sample-size 100 pass_through`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark fails by panicking"
)]

mod agent;
mod codec;
mod exchange;
mod sample;
mod translate;

/// Counts what each benchmark allocates.
#[global_allocator]
static ALLOCATOR: divan::AllocProfiler = divan::AllocProfiler::system();

fn main() {
    divan::main();
}
