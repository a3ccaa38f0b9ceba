//! What a change of the web config file may take away while the server runs: nothing that kept somebody out.

use std::path::Path;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rstest::rstest;

use super::Secure;

const TLS: &str = "tls_server_config:\n  cert_file: tls.crt\n  key_file: tls.key\n";
const DEMANDS: &str = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: tls.crt\n";
const OFFERS: &str = "  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: tls.crt\n";
const NAMES: &str = "  client_allowed_sans: [prometheus.monitoring.svc]\n";
const USERS: &str = "basic_auth_users: {alice: $2y$04$IqkHu8hHQR9Fl/mVpPeg3eMkFWjqCcuJSjVg1YzJvqvGcLcTJ6WbS}\n";

/// A certificate that signs itself, which is an authority as well.
fn certify(folder: &Path) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    std::fs::write(folder.join("tls.crt"), params.self_signed(&key).expect("a certificate").pem()).expect("writable");
    std::fs::write(folder.join("tls.key"), key.serialize_pem()).expect("writable");
}

#[rstest]
#[case::tls(format!("{TLS}{USERS}"), USERS.to_owned(), false)]
#[case::plain(USERS.to_owned(), format!("{TLS}{USERS}"), false)]
#[case::users(format!("{TLS}{USERS}"), TLS.to_owned(), false)]
#[case::certificates(format!("{TLS}{DEMANDS}"), TLS.to_owned(), false)]
#[case::certificates_if_given(format!("{TLS}{DEMANDS}"), format!("{TLS}{OFFERS}"), false)]
#[case::names(format!("{TLS}{DEMANDS}{NAMES}"), format!("{TLS}{DEMANDS}"), false)]
#[case::certificates_besides_users(format!("{TLS}{DEMANDS}{USERS}"), format!("{TLS}{USERS}"), false)]
#[case::more(format!("{TLS}{OFFERS}"), format!("{TLS}{DEMANDS}{NAMES}{USERS}"), true)]
#[case::other_names(format!("{TLS}{DEMANDS}{NAMES}"), format!("{TLS}{DEMANDS}  client_allowed_sans: [other]\n"), true)]
#[tokio::test(start_paused = true)]
async fn no_change_lets_in_who_was_kept_out(#[case] before: String, #[case] after: String, #[case] taken: bool) {
    let folder = tempfile::tempdir().expect("a folder");
    certify(folder.path());
    let file = folder.path().join("web.yml");
    std::fs::write(&file, before).expect("writable");
    let secure = Secure::load(&file).expect("a web config that holds");
    let first = secure.now();
    std::fs::write(folder.path().join("new"), after).expect("writable");
    std::fs::rename(folder.path().join("new"), &file).expect("writable");
    tokio::time::advance(Duration::from_secs(2)).await;
    let then = secure.fresh();
    assert_eq!(!std::sync::Arc::ptr_eq(&first, &then), taken);
}
