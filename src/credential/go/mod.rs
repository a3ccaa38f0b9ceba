//! The corners of Go's standard library that the kubelet's behaviour rests on, copied as far as a pull Secret can reach
//! them: `encoding/json`, `encoding/base64`, `net/url`, `net/netip`, `path/filepath.Match` and `strconv.Quote`, as of Go 1.26.
//!
//! Nothing here knows what a Secret is. Error texts are Go's, word for word, because the kubelet shows them in a pod's
//! status. Input is hostile: nothing recurses, nothing panics, and memory stays in proportion to the input.

pub(super) mod base64;
pub(super) mod glob;
pub(super) mod json;
mod json_syntax;
mod netip;
pub(super) mod text;
pub(super) mod url;
