//! Days that pass in seconds: the product's patrol, its clock moved by hand, over the sockets of a simulated world.
//!
//! Shared by the integration tests and by the example `matrix`.
#![allow(dead_code, reason = "tests and example each use a part of it")]

pub(crate) mod driver;

mod actors;
mod dice;
mod faults;
pub(crate) mod manifests;
pub(crate) mod matrix;
mod scenario;
mod score;
mod truth;
