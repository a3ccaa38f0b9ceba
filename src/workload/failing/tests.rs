use proptest::prelude::*;
use rstest::rstest;

use super::PullFailure::{AccessDenied, CredentialRefused, MalformedSecret, Network, NoCredential, NotFound, Other};
use super::*;

/// How containerd wraps what went wrong.
fn containerd(cause: &str) -> String {
    format!(
        "rpc error: code = Unknown desc = failed to pull and unpack image \"ghcr.io/org/img:v1\": failed to resolve \
         reference \"ghcr.io/org/img:v1\": {cause}"
    )
}

const TOKEN: &str = "https://ghcr.io/token?scope=repository%3Aorg%2Fimg%3Apull&service=ghcr.io";
const MANIFEST: &str = "https://ghcr.io/v2/org/img/manifests/v1";

#[rstest]
// A credential was sent and rejected: newer and older containerd, GET and POST, 401 and 403.
#[case(format!("failed to authorize: failed to fetch oauth token: unexpected status from GET request to {TOKEN}: 403 Forbidden"), CredentialRefused)]
#[case(format!("failed to authorize: failed to fetch oauth token: unexpected status from POST request to {TOKEN}: 401 Unauthorized"), CredentialRefused)]
#[case("failed to authorize: failed to fetch oauth token: unexpected status: 403 Forbidden".to_owned(), CredentialRefused)]
#[case("failed to authorize: failed to fetch oauth token: unexpected status: 401 Unauthorized".to_owned(), CredentialRefused)]
// None was sent.
#[case(format!("failed to authorize: failed to fetch anonymous token: unexpected status from GET request to {TOKEN}: 403 Forbidden"), NoCredential)]
#[case(format!("failed to authorize: failed to fetch anonymous token: unexpected status from GET request to {TOKEN}: 401 Unauthorized"), NoCredential)]
#[case("failed to authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized".to_owned(), NoCredential)]
#[case("pull access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials".to_owned(), NoCredential)]
// A token was issued, and the repository is denied.
#[case(format!("unexpected status from HEAD request to {MANIFEST}: 403 Forbidden"), AccessDenied)]
#[case("unexpected status code [manifests v1]: 403 Forbidden".to_owned(), AccessDenied)]
#[case("pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed".to_owned(), AccessDenied)]
// A registry of basic authentication that refuses what came along.
#[case(format!("unexpected status from HEAD request to {MANIFEST}: 401 Unauthorized"), CredentialRefused)]
#[case("ghcr.io/org/img:v1: not found".to_owned(), NotFound)]
// The registry cannot be reached or cannot answer, at any stage.
#[case(format!("failed to do request: Head \"{MANIFEST}\": dial tcp 140.82.121.34:443: i/o timeout"), Network)]
#[case(format!("failed to do request: Head \"{MANIFEST}\": dial tcp: lookup ghcr.io on 10.0.0.10:53: no such host"), Network)]
#[case(format!("failed to do request: Head \"{MANIFEST}\": tls: failed to verify certificate: x509: certificate signed by unknown authority"), Network)]
#[case(format!("failed to authorize: failed to fetch oauth token: Post \"{TOKEN}\": dial tcp 140.82.121.34:443: connect: connection refused"), Network)]
#[case(format!("failed to authorize: failed to fetch anonymous token: unexpected status from GET request to {TOKEN}: 503 Service Unavailable"), Network)]
#[case(format!("failed to authorize: failed to fetch oauth token: unexpected status from GET request to {TOKEN}: 429 Too Many Requests"), Other)]
#[case(format!("unexpected status from HEAD request to {MANIFEST}: 429 Too Many Requests"), Other)]
#[case("failed to copy: write /var/lib/containerd/x: no space left on device".to_owned(), Other)]
fn containerd_texts(#[case] cause: String, #[case] expected: PullFailure) {
    let message = containerd(&cause);
    assert_eq!(classify("ErrImagePull", &message), Wait::Pull(expected));
    let back_off = format!("Back-off pulling image \"ghcr.io/org/img:v1\": ErrImagePull: {message}");
    assert_eq!(classify("ImagePullBackOff", &back_off), Wait::Pull(expected), "newer back-off");
    assert_eq!(classify("ErrImagePull", &message.to_uppercase()), Wait::Pull(expected), "case says nothing");
}

#[rstest]
// CRI-O and containers/image.
#[case(
    "unable to retrieve auth token: invalid username/password: unauthorized: authentication required",
    CredentialRefused
)]
#[case(
    "initializing source docker://ghcr.io/org/img:v1: unable to retrieve auth token: invalid username/password: denied: denied",
    CredentialRefused
)]
#[case(
    "initializing source docker://ghcr.io/org/img:v1: Requesting bearer token: invalid status code from registry 403 (Forbidden)",
    CredentialRefused
)]
#[case(
    "initializing source docker://ghcr.io/org/img:v1: Requesting bearer token: invalid status code from registry 503 (Service Unavailable)",
    Network
)]
#[case(
    "initializing source docker://quay.io/org/img:v1: reading manifest v1 in quay.io/org/img: unauthorized: access to the requested resource is not authorized",
    AccessDenied
)]
#[case("initializing source docker://ghcr.io/org/img:v1: reading manifest v1 in ghcr.io/org/img: denied", AccessDenied)]
#[case(
    "Error reading manifest v1 in docker.io/org/img: errors:\ndenied: requested access to the resource is denied\nunauthorized: authentication required\n",
    AccessDenied
)]
#[case("reading manifest v1 in ghcr.io/org/img: manifest unknown", NotFound)]
#[case("reading manifest v1 in registry.example.com/img: name unknown", NotFound)]
#[case(
    "pinging container registry ghcr.io: Get \"https://ghcr.io/v2/\": dial tcp: lookup ghcr.io: no such host",
    Network
)]
// Docker.
#[case("Error response from daemon: unauthorized: authentication required", NoCredential)]
#[case(
    "Error response from daemon: Head \"https://ghcr.io/v2/org/img/manifests/v1\": denied: denied",
    CredentialRefused
)]
#[case(
    "Error response from daemon: pull access denied for org/img, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
    AccessDenied
)]
// Whatever the runtime.
#[case("{\"errors\":[{\"code\":\"DENIED\",\"message\":\"invalid token\"}]}: denied: invalid token", CredentialRefused)]
#[case("unauthorized: unauthenticated: User cannot be authenticated with the token provided.", CredentialRefused)]
#[case(
    "error pulling image configuration: denied: unauthenticated: User cannot be authenticated with the token provided.",
    CredentialRefused
)]
#[case("denied: Your authorization token has expired. Reauthenticate and try again.", CredentialRefused)]
#[case("toomanyrequests: You have reached your unauthenticated pull rate limit.", Other)]
#[case("rpc error: code = NotFound desc = failed to pull and unpack image \"x\"", NotFound)]
#[case("RegistryUnavailable: image pull failed for x because the registry is unavailable: y", Network)]
#[case("", Other)]
fn texts_of_other_runtimes(#[case] message: &str, #[case] expected: PullFailure) {
    assert_eq!(classify("ErrImagePull", message), Wait::Pull(expected));
    assert_eq!(classify("ErrImagePull", &format!("rpc error: code = Unknown desc = {message}")), Wait::Pull(expected));
}

#[rstest]
// Newer kubelets: the raw error is the reason.
#[case("illegal base64 data at input byte 4")]
#[case("unable to parse auth field, must be formatted as base64(username:password)")]
#[case("invalid character 'p' looking for beginning of value")]
#[case("invalid character '}' after object key")]
#[case("unexpected end of JSON input")]
#[case("json: cannot unmarshal number into Go struct field DockerConfigEntry.username of type string")]
fn an_error_of_the_keyring_is_a_reason_or_a_message(#[case] text: &str) {
    assert_eq!(classify(text, text), Wait::Pull(MalformedSecret), "the reason of newer kubelets");
    assert_eq!(classify("ErrImagePull", text), Wait::Pull(MalformedSecret), "the message of older ones");
    let back_off = format!("Back-off pulling image \"ghcr.io/org/img\": ErrImagePull: {text}");
    assert_eq!(classify("ImagePullBackOff", &back_off), Wait::Pull(MalformedSecret));
    // A registry that answers with a web page is no malformed Secret.
    assert_eq!(
        classify("ErrImagePull", &containerd(&format!("failed to fetch oauth token: {text}"))),
        Wait::Pull(Other)
    );
}

#[rstest]
#[case("RegistryUnavailable", Network)]
#[case("SignatureValidationFailed", Other)]
#[case("ErrImageNeverPull", Other)]
#[case("InvalidImageName", Other)]
#[case("ImageInspectError", Other)]
fn other_reasons_of_pulling(#[case] reason: &str, #[case] expected: PullFailure) {
    assert_eq!(classify(reason, "whatever: 403 Forbidden"), Wait::Pull(expected));
}

#[rstest]
#[case("ContainerCreating")]
#[case("PodInitializing")]
#[case("CrashLoopBackOff")]
#[case("CreateContainerConfigError")]
#[case("CreateContainerError")]
#[case("RunContainerError")]
#[case("some text that a runtime made up")]
#[case("")]
fn waiting_for_something_else(#[case] reason: &str) {
    for message in ["", "secret \"ghcr-pull\" not found", "failed to fetch oauth token: 403 Forbidden"] {
        assert_eq!(classify(reason, message), Wait::Elsewhere);
    }
}

#[rstest]
#[case("Back-off pulling image \"ghcr.io/org/img:v1\"")]
#[case("Back-off pulling image \"ghcr.io/org/img:v1\": ")]
#[case("Back-off pulling image \"ghcr.io/org/img:v1\": ErrImagePull: ")]
#[case("")]
fn a_back_off_without_a_cause(#[case] message: &str) {
    assert_eq!(classify("ImagePullBackOff", message), Wait::BackOff);
}

#[test]
fn no_name_decides() {
    for name in ["no-such-host/429/dial", "x509:404", "401.403.example.com/not-found/denied:denied", "timeout:eof"] {
        let forbidden = format!(
            "failed to resolve reference \"{name}\": unexpected status from HEAD request to https://{name}: 403 Forbidden"
        );
        assert_eq!(classify("ErrImagePull", &forbidden), Wait::Pull(AccessDenied), "{name}");
        assert_eq!(classify("ErrImagePull", &format!("failed to pull \"{name}\": odd")), Wait::Pull(Other), "{name}");
        assert_eq!(classify("ErrImagePull", &format!("pulling {name}: odd")), Wait::Pull(Other), "{name}");
    }
}

#[test]
fn of_several_credentials_a_refused_one_is_told() {
    let refused = containerd("failed to authorize: failed to fetch oauth token: unexpected status: 403 Forbidden");
    let denied = containerd(&format!("unexpected status from HEAD request to {MANIFEST}: 403 Forbidden"));
    for message in [format!("[{refused}, {denied}]"), format!("[{denied}, {refused}]")] {
        assert_eq!(classify("ErrImagePull", &message), Wait::Pull(CredentialRefused));
    }
}

proptest! {
    #[test]
    fn any_text_is_classified(reason in ".{0,300}", message in ".{0,300}") {
        let wait = classify(&reason, &message);
        prop_assert_eq!(classify(&reason, &message), wait);
        prop_assert!(!matches!(classify("ErrImagePull", &message), Wait::Elsewhere | Wait::BackOff));
        prop_assert_ne!(classify("ImagePullBackOff", &message), Wait::Elsewhere);
    }

    #[test]
    fn quoted_names_and_addresses_vanish(name in "[a-z0-9./:@%?=&-]{0,40}") {
        prop_assert_eq!(plain(&format!("a \"{name}\" b https://{name} c")).replace([':'], ""), "a  b  c");
    }
}
