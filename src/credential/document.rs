//! The document of a pull Secret, unmarshalled as the kubelet's types unmarshal it (`pkg/credentialprovider/config.go`).

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::go::base64::{self, Padding};
use super::go::json::{self, Kind, Value};

/// The two shapes of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// `.dockerconfigjson`: entries under `auths`.
    ConfigJson,
    /// `.dockercfg`: the entries themselves.
    Cfg,
}

/// Entries by registry as written, and what else is worth telling.
#[derive(Default)]
pub(super) struct Document {
    pub(super) entries: BTreeMap<String, RawEntry>,
    /// Top-level fields that hold something and that the kubelet does not read.
    pub(super) ignored: Vec<&'static str>,
    /// Whether a member stands where the other shape has its entries.
    pub(super) looks_like_other_shape: bool,
}

/// The fields of one entry, before it is decided which of them count.
#[derive(Default)]
pub(super) struct RawEntry {
    pub(super) username: Zeroizing<String>,
    pub(super) password: Zeroizing<String>,
    pub(super) email: String,
    /// User name and password of a non-empty `auth`.
    pub(super) auth: Option<UserAndPassword>,
    /// Fields that hold something and that the kubelet does not read.
    pub(super) ignored: Vec<&'static str>,
}

/// What `auth` decodes to.
type UserAndPassword = (Zeroizing<Vec<u8>>, Zeroizing<Vec<u8>>);

/// Why a document does not unmarshal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// Go's text.
    pub(super) message: String,
    pub(super) place: Place,
}

/// Where a fault is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// The text is no JSON from this byte on.
    Syntax { offset: usize },
    /// A value of the wrong type outside the entries.
    Document,
    /// A value of the wrong type in the entry of this registry.
    Entry(String),
    /// The `auth` of this registry.
    Auth(String),
}

const ENTRY_TYPE: &str = "credentialprovider.dockerConfigEntryWithAuth";

/// Unmarshal a document. Go's order of errors: a syntax error anywhere, then the first faulty entry, then the first value
/// of the wrong type outside the entries.
pub(super) fn read(shape: Shape, data: &[u8]) -> Result<Document, Fault> {
    let root = json::parse(data)
        .map_err(|error| Fault { message: error.message, place: Place::Syntax { offset: error.offset } })?;
    let mut document = Document::default();
    let mut misfit = None;
    match shape {
        Shape::ConfigJson => read_config_json(root, &mut document, &mut misfit)?,
        Shape::Cfg => {
            read_entries(root, &GoPlace { field: None }, &mut document.entries, &mut misfit)?;
            document.looks_like_other_shape = document.entries.keys().any(|name| json::names_field(name, "auths"));
        }
    }
    misfit.map_or(Ok(document), |message| Err(Fault { message, place: Place::Document }))
}

fn read_config_json(root: Value<'_>, document: &mut Document, misfit: &mut Option<String>) -> Result<(), Fault> {
    if !matches!(root.kind(), Kind::Object | Kind::Null) {
        keep_first(misfit, GoPlace { field: None }.error(root.kind(), "", "credentialprovider.DockerConfigJSON"));
    }
    for (name, value) in root.members() {
        if json::names_field(&name, "auths") {
            read_entries(value, &GoPlace { field: Some("auths") }, &mut document.entries, misfit)?;
        } else if json::names_field(&name, "HttpHeaders") {
            check_headers(value, misfit);
        } else if json::names_field(&name, "credHelpers") && value.members().next().is_some() {
            document.ignored.push("credHelpers");
        } else if json::names_field(&name, "credsStore") && !value.text().is_empty() {
            document.ignored.push("credsStore");
        } else if value.members().any(|(field, _)| ENTRY_FIELDS.iter().any(|known| json::names_field(&field, known))) {
            document.looks_like_other_shape = true;
        }
    }
    Ok(())
}

const ENTRY_FIELDS: [&str; 3] = ["auth", "username", "password"];

/// `map[string]string`: nobody reads it for a pull, but a value that is no string is an error.
fn check_headers(headers: Value<'_>, misfit: &mut Option<String>) {
    let place = GoPlace { field: Some("HttpHeaders") };
    if !matches!(headers.kind(), Kind::Object | Kind::Null) {
        keep_first(misfit, place.error(headers.kind(), "", "map[string]string"));
    }
    for (_, header) in headers.members() {
        if !matches!(header.kind(), Kind::String | Kind::Null) {
            keep_first(misfit, place.error(header.kind(), "", "string"));
        }
    }
}

/// The type `DockerConfig`: a map, so a second one adds to the first, and `null` empties it.
fn read_entries(
    map: Value<'_>,
    place: &GoPlace,
    entries: &mut BTreeMap<String, RawEntry>,
    misfit: &mut Option<String>,
) -> Result<(), Fault> {
    match map.kind() {
        Kind::Object => {
            for (registry, value) in map.members() {
                let entry = read_entry(value, place, &registry)?;
                entries.insert(registry, entry);
            }
        }
        Kind::Null => entries.clear(),
        kind => keep_first(misfit, place.error(kind, "", "credentialprovider.DockerConfig")),
    }
    Ok(())
}

/// `DockerConfigEntry.UnmarshalJSON`. `null` is an empty entry; a wrong type comes before a bad `auth`.
fn read_entry(value: Value<'_>, place: &GoPlace, registry: &str) -> Result<RawEntry, Fault> {
    let mut entry = RawEntry::default();
    let mut auth = Zeroizing::new(String::new());
    let mut misfit = None;
    if !matches!(value.kind(), Kind::Object | Kind::Null) {
        misfit = Some(place.error(value.kind(), "", ENTRY_TYPE));
    }
    for (name, value) in value.members() {
        let mut read_into = |field: &'static str, target: &mut Zeroizing<String>| {
            let ours = json::names_field(&name, field);
            match value.kind() {
                _ if !ours => {}
                Kind::String => *target = value.text(),
                Kind::Null => {}
                kind => keep_first(&mut misfit, place.error(kind, field, "string")),
            }
            ours
        };
        let mut email = Zeroizing::new(String::new());
        if read_into("email", &mut email) {
            if value.kind() == Kind::String {
                entry.email = std::mem::take(&mut *email);
            }
        } else if !read_into("username", &mut entry.username)
            && !read_into("password", &mut entry.password)
            && !read_into("auth", &mut auth)
        {
            let unread = ["identitytoken", "registrytoken"].into_iter().find(|field| json::names_field(&name, field));
            entry.ignored.extend(unread.filter(|field| !value.text().is_empty() && !entry.ignored.contains(field)));
        }
    }
    if let Some(message) = misfit {
        return Err(Fault { message, place: Place::Entry(registry.to_owned()) });
    }
    if !auth.is_empty() {
        let decoded =
            decode_auth(&auth).map_err(|message| Fault { message, place: Place::Auth(registry.to_owned()) })?;
        entry.auth = Some(decoded);
    }
    Ok(entry)
}

/// `decodeDockerConfigFieldAuth`: padded or not is told by the trimmed text, but the text is decoded as it stands, and
/// what comes out is not trimmed either.
fn decode_auth(auth: &str) -> Result<UserAndPassword, String> {
    let padding = if auth.trim().ends_with('=') { Padding::Required } else { Padding::Forbidden };
    let decoded = base64::decode(auth.as_bytes(), padding).map_err(|error| error.to_string())?;
    let Some(colon) = decoded.iter().position(|byte| *byte == b':') else {
        return Err("unable to parse auth field, must be formatted as base64(username:password)".to_owned());
    };
    Ok((Zeroizing::new(decoded[..colon].to_vec()), Zeroizing::new(decoded[colon + 1..].to_vec())))
}

/// Where Go's decoder stands, as its type errors tell it.
struct GoPlace {
    /// The field of the outer struct, where the outer value is one.
    field: Option<&'static str>,
}

impl GoPlace {
    /// `UnmarshalTypeError` for a value of a kind at a field of an entry (or at the place itself, if that is empty).
    fn error(&self, kind: Kind, entry_field: &str, go_type: &str) -> String {
        let word = kind.word();
        let target = match (self.field, entry_field) {
            (Some(field), "") => format!("Go struct field DockerConfigJSON.{field}"),
            (Some(field), inner) => format!("Go struct field DockerConfigJSON.{field}.{inner}"),
            (None, "") => "Go value".to_owned(),
            (None, inner) => format!("Go struct field dockerConfigEntryWithAuth.{inner}"),
        };
        format!("json: cannot unmarshal {word} into {target} of type {go_type}")
    }
}

fn keep_first(kept: &mut Option<String>, message: String) {
    kept.get_or_insert(message);
}
