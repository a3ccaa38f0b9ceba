//! The data of a Secret: the two keys of pull Secrets, decoded right into memory that is wiped, and nothing else.

use std::fmt;
use std::marker::PhantomData;

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use secrecy::SecretSlice;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use zeroize::Zeroizing;

use super::text::Text;
use crate::cluster::objects::{DOCKERCFG_KEY, DOCKERCONFIGJSON_KEY};

/// How the values of a map are written.
pub(in crate::cluster) trait Encoding {
    const EXPECTED: &'static str;
    fn decode(text: &str) -> Option<SecretSlice<u8>>;
}

/// `data`: base64 as Go's `encoding/json` reads a `[]byte`: the padded standard alphabet, line breaks anywhere, stray
/// trailing bits forgiven.
#[derive(Debug)]
pub(in crate::cluster) struct Base64;

/// `stringData`: the text itself.
#[derive(Debug)]
pub(in crate::cluster) struct Plain;

const GO_STD_ENCODING: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

impl Encoding for Base64 {
    const EXPECTED: &'static str = "a string in base64";

    fn decode(text: &str) -> Option<SecretSlice<u8>> {
        let decoded = if text.contains(['\r', '\n']) {
            let joined: Zeroizing<Vec<u8>> =
                Zeroizing::new(text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect());
            GO_STD_ENCODING.decode(&*joined)
        } else {
            GO_STD_ENCODING.decode(text)
        };
        decoded.ok().map(SecretSlice::from)
    }
}

impl Encoding for Plain {
    const EXPECTED: &'static str = "a string";

    fn decode(text: &str) -> Option<SecretSlice<u8>> {
        Some(SecretSlice::from(text.as_bytes().to_vec()))
    }
}

/// The values of the two keys in a map whose other keys are skipped unread.
pub(in crate::cluster) struct PullData<E> {
    pub(in crate::cluster) dockerconfigjson: Option<SecretSlice<u8>>,
    pub(in crate::cluster) dockercfg: Option<SecretSlice<u8>>,
    encoding: PhantomData<E>,
}

impl<E> Default for PullData<E> {
    fn default() -> Self {
        Self { dockerconfigjson: None, dockercfg: None, encoding: PhantomData }
    }
}

impl<E> fmt::Debug for PullData<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PullData([redacted])")
    }
}

impl<'de, E: Encoding> Deserialize<'de> for PullData<E> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MapVisitor(PhantomData))
    }
}

struct MapVisitor<E>(PhantomData<E>);

impl<'de, E: Encoding> Visitor<'de> for MapVisitor<E> {
    type Value = PullData<E>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = PullData::default();
        while let Some(key) = map.next_key::<Text<'de>>()? {
            match &*key {
                DOCKERCONFIGJSON_KEY => found.dockerconfigjson = Some(map.next_value::<Value<E>>()?.0),
                DOCKERCFG_KEY => found.dockercfg = Some(map.next_value::<Value<E>>()?.0),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }
}

/// One value. Null is an empty one, as Go reads it.
struct Value<E>(SecretSlice<u8>, PhantomData<E>);

impl<'de, E: Encoding> Deserialize<'de> for Value<E> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor(PhantomData))
    }
}

struct ValueVisitor<E>(PhantomData<E>);

impl<E: Encoding> Visitor<'_> for ValueVisitor<E> {
    type Value = Value<E>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(E::EXPECTED)
    }

    fn visit_str<Er: Error>(self, text: &str) -> Result<Self::Value, Er> {
        // The message must not quote the value, so it is a custom one.
        let value = E::decode(text).ok_or_else(|| Er::custom(format_args!("expected {}", E::EXPECTED)))?;
        Ok(Value(value, PhantomData))
    }

    fn visit_unit<Er: Error>(self) -> Result<Self::Value, Er> {
        Ok(Value(SecretSlice::from(Vec::new()), PhantomData))
    }
}
