//! The parts of `weir`: resources are read, checked into a plan, and the plan is rendered and run.

pub mod check;
pub mod explain;
pub mod image;
pub mod plan;
pub mod render;
pub mod resources;
pub mod run;
