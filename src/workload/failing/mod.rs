//! Why a container waits on a pull, told by the reason and the message of its status.
//!
//! The kubelet's reasons are those of `pkg/kubelet/images/types.go`; the texts are those of containerd
//! (`core/remotes/docker`), CRI-O (containers/image) and Docker. Two traps: newer kubelets put the raw error of the
//! keyring into `reason`, and older ones drop the cause from the message of a back-off. Names are tenants' text, so
//! quoted names and addresses are taken out before anything is looked for: no image or registry decides what it is.

#[cfg(test)]
mod tests;

/// Why a pull fails: the label `reason` of `pullsecret_workload_pull_failing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PullFailure {
    /// A credential was sent, and refused as a login.
    CredentialRefused,
    /// The login was taken, or none was asked for, and the repository is denied.
    AccessDenied,
    /// No credential was sent where one is demanded.
    NoCredential,
    /// The registry does not have the image, or hides it.
    NotFound,
    /// The registry could not be reached, or could not answer.
    Network,
    /// A pull Secret of the pod cannot be decoded, which fails every image of the pod.
    MalformedSecret,
    /// Anything else: a rate limit, a bad image name, a signature, a full disk.
    Other,
}

impl PullFailure {
    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CredentialRefused => "credential_refused",
            Self::AccessDenied => "access_denied",
            Self::NoCredential => "no_credential",
            Self::NotFound => "not_found",
            Self::Network => "network",
            Self::MalformedSecret => "malformed_secret",
            Self::Other => "other",
        }
    }

    /// Whether it is about a credential, rather than about the image, the registry or the network.
    pub fn is_about_credentials(self) -> bool {
        matches!(self, Self::CredentialRefused | Self::AccessDenied | Self::NoCredential | Self::MalformedSecret)
    }
}

/// What a waiting container waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Not for a pull.
    Elsewhere,
    /// For a pull that failed before; this text does not tell why.
    BackOff,
    /// For a pull that fails because of this.
    Pull(PullFailure),
}

/// Longest text that is looked at, in bytes.
const LIMIT: usize = 8 * 1024;

/// Classify `state.waiting` of a container status.
pub fn classify(reason: &str, message: &str) -> Wait {
    let reason = reason.trim();
    match reason {
        "ErrImagePull" => Wait::Pull(cause(&plain(message))),
        "ImagePullBackOff" => match behind_back_off(&plain(message)) {
            "" => Wait::BackOff,
            text => Wait::Pull(cause(text)),
        },
        "RegistryUnavailable" => Wait::Pull(PullFailure::Network),
        "ErrImageNeverPull" | "InvalidImageName" | "ImageInspectError" | "SignatureValidationFailed" => {
            Wait::Pull(PullFailure::Other)
        }
        // One word is a reason of the runtime or the kubelet that has nothing to do with pulling.
        _ if !reason.contains(' ') => Wait::Elsewhere,
        _ if is_keyring_error(&plain(reason)) => Wait::Pull(PullFailure::MalformedSecret),
        _ => Wait::Elsewhere,
    }
}

/// The cause in the message of a back-off, empty where it holds none:
/// `Back-off pulling image "X": ErrImagePull: CAUSE`, or only its first part.
fn behind_back_off(message: &str) -> &str {
    let rest = match message.strip_prefix("back-off pulling image") {
        Some(rest) => rest.trim_start(),
        None => message,
    };
    let rest = rest.strip_prefix(':').unwrap_or(rest).trim_start();
    let rest = rest.strip_prefix("errimagepull").map_or(rest, |rest| rest.strip_prefix(':').unwrap_or(rest));
    rest.trim()
}

/// The kubelet's own error when it cannot decode a pull Secret: texts of Go's `encoding/json` and `encoding/base64`,
/// and of `decodeDockerConfigFieldAuth` in `pkg/credentialprovider/config.go`. A runtime has words in front of its own.
fn is_keyring_error(text: &str) -> bool {
    const OPENINGS: [&str; 5] = [
        "illegal base64 data at input byte",
        "unable to parse auth field",
        "invalid character ",
        "unexpected end of json input",
        "json: ",
    ];
    OPENINGS.iter().any(|opening| text.starts_with(opening))
}

/// Lower case, with every quoted word and every address taken out.
fn plain(text: &str) -> String {
    let mut end = text.len().min(LIMIT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut rest = &text[..end];
    let mut plain = String::with_capacity(rest.len());
    while let Some(first) = rest.chars().next() {
        let word_end = |from: &str| from.find(char::is_whitespace).unwrap_or(from.len());
        if first == '"' {
            let inside = &rest[1..];
            let closing = inside.find('"').filter(|at| !inside[..*at].contains(char::is_whitespace));
            if let Some(at) = closing {
                rest = &inside[at + 1..];
                continue;
            }
        }
        if starts_an_address(rest) {
            let word = &rest[..word_end(rest)];
            // The colon behind an address belongs to the sentence.
            let keep = word.len() - word.trim_end_matches([':', ',', ']', ')']).len();
            rest = &rest[word.len() - keep..];
            continue;
        }
        plain.extend(first.to_lowercase());
        rest = &rest[first.len_utf8()..];
    }
    plain
}

fn starts_an_address(text: &str) -> bool {
    ["https://", "http://", "docker://"]
        .iter()
        .any(|scheme| text.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme)))
}

/// Fragments that name a cause, in the order in which they are looked for. All hold a space or a punctuation that no
/// image name can hold. Errors of several credentials come in one text: what is told of a login goes first.
const FRAGMENTS: &[(&[&str], PullFailure)] = {
    use PullFailure::{AccessDenied, CredentialRefused, Network, NoCredential, NotFound, Other};
    &[
        (
            &[
                "user cannot be authenticated with the token provided",
                "invalid username/password",
                "incorrect username or password",
                "authorization token has expired",
                "authentication token has expired",
                "denied: invalid token",
                "basic: access denied",
                ": bad credentials",
            ],
            CredentialRefused,
        ),
        (&["no basic auth credentials", "anonymous access denied"], NoCredential),
        // Before any word of denial: these speak for the registry, whatever stage they stand in.
        (&["toomanyrequests", "429 too many requests", "429 (too many requests)", "rate limit"], Other),
        (
            &[
                "dial tcp",
                "no such host",
                "server misbehaving",
                "i/o timeout",
                "connection refused",
                "connection reset by peer",
                "no route to host",
                "network is unreachable",
                "handshake timeout",
                "deadline exceeded",
                "request canceled",
                "tls: ",
                "x509: ",
                "proxyconnect tcp",
                "server gave http response to https client",
                "unexpected eof",
                "registry is unavailable",
                "registryunavailable: ",
                "500 internal server error",
                "502 bad gateway",
                "503 service unavailable",
                "504 gateway timeout",
                "registry 500 (",
                "registry 502 (",
                "registry 503 (",
                "registry 504 (",
            ],
            Network,
        ),
        (
            &[
                "insufficient_scope: ",
                "server message: insufficient_scope",
                "pull access denied",
                "requested access to the resource is denied",
                "access to the requested resource is not authorized",
                "denied: permission_denied",
            ],
            AccessDenied,
        ),
        (
            &["manifest unknown", "name unknown", "repository name not known", "404 not found", "code = notfound"],
            NotFound,
        ),
    ]
};

/// Why a pull failed, from the text behind `ErrImagePull`.
fn cause(text: &str) -> PullFailure {
    if is_keyring_error(text) {
        return PullFailure::MalformedSecret;
    }
    let has = |fragment: &str| text.contains(fragment);
    let denied = ["401 unauthorized", "403 forbidden", "401 (unauthorized)", "403 (forbidden)"];
    let denied = denied.iter().any(|status| has(status));
    // Where a token is fetched, a refusal is one of the login that was sent, or of the lack of one.
    if denied && (has("fetch oauth token") || has("requesting bearer token") || has("retrieve auth token")) {
        return PullFailure::CredentialRefused;
    }
    if denied && has("fetch anonymous token") {
        return PullFailure::NoCredential;
    }
    let told = FRAGMENTS.iter().find(|(fragments, _)| fragments.iter().any(|fragment| has(fragment)));
    if let Some((_, failure)) = told {
        return *failure;
    }
    match text {
        // With a token in hand, or past a login: this repository is denied.
        _ if has("403 forbidden") || has("403 (forbidden)") => PullFailure::AccessDenied,
        _ if has("reading manifest") && (has(": denied") || has(": unauthorized")) => PullFailure::AccessDenied,
        // A registry without tokens: the login went along with the request, and was refused.
        _ if denied => PullFailure::CredentialRefused,
        _ if has("unauthorized: authentication required") => PullFailure::NoCredential,
        // Docker and ghcr.io: the body of a refused token request.
        _ if text.ends_with("denied: denied") => PullFailure::CredentialRefused,
        _ if has(": not found") => PullFailure::NotFound,
        _ => PullFailure::Other,
    }
}
