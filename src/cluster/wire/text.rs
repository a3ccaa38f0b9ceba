//! Strings that borrow from their document, and lists that forgive null.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A string that borrows from the document where it can. (serde borrows a bare `Cow` only, not one inside of an
/// `Option` or a list.)
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cluster) struct Text<'a>(Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_string<E: Error>(self, text: String) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text)))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

/// A list in which null stands for nothing, as Go reads it. The second field tells whether a list was written at all.
#[derive(Debug)]
pub(in crate::cluster) struct List<T>(pub(in crate::cluster) Vec<T>, bool);

impl<T> List<T> {
    /// Whether there is a list, be it empty: what Go calls non-nil.
    pub(in crate::cluster) fn is_written(&self) -> bool {
        self.1
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new(), false)
    }
}

impl<'de, T: Default + Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let items = Option::<Vec<Option<T>>>::deserialize(deserializer)?;
        let is_written = items.is_some();
        Ok(Self(items.unwrap_or_default().into_iter().map(Option::unwrap_or_default).collect(), is_written))
    }
}

/// Null is the zero value, as Go reads it.
pub(in crate::cluster) fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}
