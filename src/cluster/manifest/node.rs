//! One object as it stands in a file: a span of JSON text, or a tree that the YAML parser made. JSON is never turned into
//! a tree, so that a dump of a whole cluster is read in little more memory than its text.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::docker::is_auths;
use crate::cluster::wire::{ShapeError, Text, read_json, read_tree};

/// An object, not yet read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Node<'a> {
    Json(&'a RawValue),
    Tree(&'a Value),
}

impl<'a> Node<'a> {
    /// Read it into a shape.
    pub(super) fn read<T: Deserialize<'a>>(self) -> Result<T, ShapeError> {
        match self {
            Self::Json(raw) => read_json(raw),
            Self::Tree(tree) => read_tree(tree),
        }
    }

    /// Which telling keys stand at its top; `None` when it is not a mapping.
    pub(super) fn outline(self) -> Option<Outline> {
        self.read().ok()
    }

    pub(super) fn is_null(self) -> bool {
        match self {
            Self::Json(raw) => raw.get() == "null",
            Self::Tree(tree) => tree.is_null(),
        }
    }

    /// Its `items`, if it has such a list. Null counts as an empty one.
    pub(super) fn items(self) -> Option<Vec<Node<'a>>> {
        match self {
            Self::Json(raw) => {
                let items: Items<'a> = serde_json::from_str(raw.get()).ok()?;
                Some(items.items?.0.into_iter().map(Node::Json).collect())
            }
            Self::Tree(tree) => match tree.get("items")? {
                Value::Array(items) => Some(items.iter().map(Node::Tree).collect()),
                Value::Null => Some(Vec::new()),
                _ => None,
            },
        }
    }
}

#[derive(serde::Deserialize)]
struct Items<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    items: Option<RawList<'a>>,
}

struct RawList<'a>(Vec<&'a RawValue>);

/// Absent is `None`; null is an empty list.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<RawList<'a>>, D::Error> {
    let items = Option::<Vec<&'de RawValue>>::deserialize(deserializer)?;
    Ok(Some(RawList(items.unwrap_or_default())))
}

/// Which telling keys stand at the top of a mapping.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one key that is there or not")]
pub(super) struct Outline {
    pub(super) api_version: bool,
    pub(super) kind: bool,
    pub(super) metadata: bool,
    pub(super) auths: bool,
    pub(super) items: bool,
}

impl<'de> Deserialize<'de> for Outline {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OutlineVisitor;

        impl<'de> Visitor<'de> for OutlineVisitor {
            type Value = Outline;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Outline, A::Error> {
                let mut outline = Outline::default();
                while let Some(key) = map.next_key::<Text<'de>>()? {
                    map.next_value::<IgnoredAny>()?;
                    match &*key {
                        "apiVersion" => outline.api_version = true,
                        "kind" => outline.kind = true,
                        "metadata" => outline.metadata = true,
                        "items" => outline.items = true,
                        key => outline.auths |= is_auths(key),
                    }
                }
                Ok(outline)
            }
        }

        deserializer.deserialize_map(OutlineVisitor)
    }
}
