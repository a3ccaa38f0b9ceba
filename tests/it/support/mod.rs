//! What several tests share.

pub(crate) mod manifests;
pub(crate) mod published;
pub(crate) mod real;
pub(crate) mod vectors;
