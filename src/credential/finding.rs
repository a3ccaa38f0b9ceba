//! Findings: what is wrong or noteworthy about a Secret's text, an entry, or a token's powers.

use serde::Serialize;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Should be mended.
    Warning,
    /// Breaks pulls now or within days.
    Critical,
}

impl Severity {
    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

macro_rules! finding_kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $severity:ident;)*) => {
        /// The published list of findings; the names are label values and keep their meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum FindingKind { $($(#[$doc])* $variant,)* }

        impl FindingKind {
            /// Every kind, in the order of the list.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name, as in the label `finding`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The severity, unless the circumstances raise it.
            pub fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)* }
            }
        }
    };
}

finding_kinds! {
    /// The kubelet cannot decode the Secret: it poisons every pod that names it.
    UndecodableSecret = "undecodable_secret", Critical;
    /// The Secret counts, but holds no entry.
    NoEntries = "no_entries", Warning;
    /// Type and key do not agree: the kubelet skips the Secret silently.
    WrongType = "wrong_type", Warning;
    /// An `auth` field that is not base64 of `user:password`: poisons as an undecodable Secret does.
    BadAuthEncoding = "bad_auth_encoding", Critical;
    /// White space or control characters around or in user name or password.
    WhitespaceInCredential = "whitespace_in_credential", Warning;
    /// `auth` differs from `username` and `password`; `auth` wins.
    StaleAuth = "stale_auth", Warning;
    /// No user name: containerd pulls anonymously.
    EmptyUsername = "empty_username", Warning;
    /// No image name can ever match the registry key.
    NeverMatchingKey = "never_matching_key", Warning;
    /// Matches only images written with that port or upper-case host, and no workload does.
    UnusualKey = "unusual_key", Info;
    /// Two entries of one Secret with one effective key: their order is random.
    AmbiguousKey = "ambiguous_key", Warning;
    /// A field that the kubelet does not read.
    IgnoredField = "ignored_field", Info;
    /// The checksum inside the token does not hold.
    MangledToken = "mangled_token", Warning;
    /// A kind of token that the registry does not take for pulling.
    UnsupportedTokenKind = "unsupported_token_kind", Warning;
    /// The token may do more than pulling needs.
    ExcessScopes = "excess_scopes", Info;
    /// A scope of `issuer.requiredScopes` lacks.
    MissingScopes = "missing_scopes", Warning;
    /// The token never expires.
    NoExpiry = "no_expiry", Info;
    /// The issuer told an expiry that cannot be true.
    ExpiryUnreliable = "expiry_unreliable", Warning;
    /// An organisation demands SSO authorisation of the token.
    SsoRequired = "sso_required", Warning;
    /// Refused here, while a copy under the same user or Secret name works elsewhere.
    OutOfSyncCopy = "out_of_sync_copy", Warning;
    /// The registry's name resolves to an address that is not allowed.
    PrivateRegistryAddress = "private_registry_address", Warning;
    /// Issuer and registry disagree about the token.
    IssuerDisagrees = "issuer_disagrees", Warning;
    /// The registry never asked for the password.
    PasswordNotChecked = "password_not_checked", Info;
    /// The registry points its token service or a redirect at a host that is not on the list; nothing was sent there.
    ForeignRealm = "foreign_realm", Warning;
    /// A workload pulls only because a later credential works.
    LaterCredentialOnly = "later_credential_only", Warning;
    /// The user name looks like a token.
    TokenInUsername = "token_in_username", Warning;
    /// What happens to pods right now contradicts what our own exchanges say.
    LivePullContradicts = "live_pull_contradicts", Warning;
    /// Runners of a scale set hang in Pending, because their pods wait on a pull.
    RunnersPending = "runners_pending", Warning;
    /// The token expires soon.
    ExpiresSoon = "expires_soon", Warning;
}

/// One finding, in words.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Finding {
    /// Which one.
    #[serde(rename = "finding", serialize_with = "kind_name")]
    pub kind: FindingKind,
    /// How bad it is here.
    pub severity: Severity,
    /// One line that says what is wrong. Never holds a secret.
    pub message: String,
    /// One line that says what to do.
    pub fix: String,
}

impl Finding {
    /// A finding of the usual severity of its kind.
    pub fn new(kind: FindingKind, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { kind, severity: kind.severity(), message: message.into(), fix: fix.into() }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde demands")]
fn kind_name<S: serde::Serializer>(kind: &FindingKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.as_str())
}
