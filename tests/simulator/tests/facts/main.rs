//! The simulator against what is publicly known of the services it stands for, over plain TCP.

mod client;
mod demo;
mod faults;
mod ghcr;
mod github_api;
mod registries;
mod world;
