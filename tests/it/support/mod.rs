//! What several tests share.

pub(crate) mod program;
pub(crate) mod published;
pub(crate) mod real;
pub(crate) mod vectors;

pub(crate) use crate::days::manifests;
