//! The parts of `weir`: resources are read, checked into a plan, and the plan is rendered and run.

pub mod plan;
pub mod render;
pub mod run;
