//! Parsers of what registries and issuers send: bounded, total, without judgement.

pub(crate) mod challenge;
pub(crate) mod expiry;
pub(crate) mod oci;
pub(crate) mod scope_list;
pub(crate) mod wait;
